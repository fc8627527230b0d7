// Package mongokit gives the tests of a package one FerretDB, the MongoDB-protocol
// server of the development stack. The first test that asks for it starts it;
// [Main] stops it after the last.
package mongokit
