// Package machine reports what the operating system gives this process: how many
// files it may open, how much space a folder's file system has, and how much memory. It
// keeps the process within that memory, and returns what a load took.
package machine
