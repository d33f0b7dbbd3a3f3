// Package spool is relay.Spool on Pebble: it keeps accepted messages and their
// deliveries in one directory, owned by one process.
//
// An accepted message is one synced batch, and the syncs of concurrent sessions are
// shared. The end of an attempt is one unsynced batch that the next sync, or one of its
// own a few milliseconds later, makes durable: losing it repeats a delivery, while losing
// an accepted message would lose mail. Claims live in memory only.
//
// # What a full disk does
//
// New mail is refused while there is room left (Options.MinFree), so that deliveries go
// on. If something else fills the disk, the reserve file is given up. When that is gone
// too, writes of the database wait, and go on by themselves when space returns; commits
// under way are answered with relay.StorageFull and undone once they can be. Pebble never
// sees the error, because it cannot survive one.
//
// # What ends the spool
//
// Any other failure to write its log or its manifest (an I/O error, or a full disk that
// only shows when a file is synced, as on NFS) leaves Pebble in a state that only a
// new start repairs. The spool then refuses everything and closes Failed, on which
// the process should end. Where Pebble meets such an error while it changes from one log
// file to the next, it ends the process itself. In both cases what was committed is on
// disk and is found by the next start.
package spool
