// Package highwater keeps the high-water mark of an embedded log in a file in the
// folder of the log, and recognises a folder that may lack what the log has given out.
//
// Data comes from the log ([File.Store]) and goes back to it at the next start
// ([File.Load], [File.Doubt]). The file is written and synced apart from the log, and
// replaced by a rename, so that a crash leaves the old mark or the new one.
//
// # Which folders are doubted
//
//   - One whose file is a copy, by its inode and time of birth: the folder was restored
//     from a copy, and what came after the copy is missing. Folders that are copied by
//     block, as by a snapshot of the volume, look the same; for those the sequences of
//     the other keepers decide.
//   - One that was in use when the machine went down. The server hands a record to its
//     followers before the record is on the disk, however often it syncs, so that clients
//     may have seen what the log has lost.
//
// The package starts no goroutines, and its methods are called from one at a time.
package highwater
