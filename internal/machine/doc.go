// Package machine reports what the operating system gives this process: how many
// files it may open, and how much space a folder's file system has.
package machine
