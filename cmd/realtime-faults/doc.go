// Command realtime-faults runs the fault matrix: it hurts real systems of real
// processes in every way that the service has to survive, and tells what was lost,
// duplicated, reordered or made up.
//
// It leaves with 0 when no row failed, 1 when one did, and 2 when it was called
// wrongly.
package main
