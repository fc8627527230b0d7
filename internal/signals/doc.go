// Package signals turns the signals of a process into the end of a context.
//
// SIGINT and SIGTERM end the context, and the process stops in order. A second
// SIGINT ends the process at once; the first one says so. SIGHUP, which the end of
// a terminal sends, ends the context of a command too, except where it was ignored
// when the process began, as nohup does. [Service] is for a process that serves: it
// logs SIGHUP and goes on, and it goes on when the reader of its standard output or
// standard error has gone.
//
// [Handle] starts two goroutines, which end with the function that it returns; the one that
// reloads ends after the reload that runs then.
package signals
