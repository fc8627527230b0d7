// Command bill writes what a release says about the modules that are linked into a
// program, and about the npm packages of the console that is embedded in it: a bill of
// materials (SPDX 2.3 in JSON), the notices that the licences of the modules ask to be passed
// on, and the table of docs/licences.md. The build of the console writes its own notices.
//
//	go run ./deploy/release/bill sbom PROGRAM >realtime.spdx.json
//	go run ./deploy/release/bill notices PROGRAM >THIRD_PARTY_NOTICES
//	go run ./deploy/release/bill table >docs/licences.md
//
// The modules come from the build information in the program, and their licences from the
// files in the module cache. The npm packages come from web/package-lock.json. A licence that
// is not on the list of those that may be shipped is an error. It asks no server, unless Go
// has to fetch a module.
package main
