// Command realtime is the realtime gateway and its operators' tool.
//
// It exits with 0 after an orderly stop, 1 when something failed, and 2 when a
// flag or a setting is wrong. Commands that compare exit with 3 when they found
// differences.
package main
