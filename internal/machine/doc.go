// Package machine reports what the operating system gives this process: how many
// files it may open, how much space a folder's file system has, and how much memory.
package machine
