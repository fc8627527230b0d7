// Package volume keeps a folder on a file system that can lose power: what was written and
// not synced is gone then, as it is on a machine whose page cache is lost.
//
// [Mount] puts a FUSE file system over an empty folder. Programs read and write as usual. The
// files are in a live folder, and a second folder has what is durable:
//
//   - fsync of a file, or a write through a descriptor opened with O_SYNC, makes its content
//     durable, and with it every creation, removal and renaming so far, on the whole volume.
//     This is what a file system with an ordered journal does, such as ext4.
//   - fsync of a directory makes those changes of names durable.
//   - Nothing else does: there is no timer that writes pages back.
//
// [Volume.LosePower] puts the volume back to what is durable. A file whose name is durable and
// whose content was never synced is empty then.
//
// The package has one goroutine for each request of the kernel; they end with
// [Volume.Close]. It needs Linux, root and /dev/fuse.
package volume
