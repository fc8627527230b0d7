// Package mongokit provides the tests of a package with one FerretDB, the MongoDB-protocol
// server of the development stack. The first test that uses it starts it; [Main] stops it
// after the last test.
package mongokit
