// Package spool is relay.Spool on Pebble: it keeps accepted messages and their
// deliveries in one directory, owned by one process.
//
// An accepted message is one synced batch, and the syncs of concurrent sessions are
// shared. The end of an attempt is one unsynced batch that the next sync, or one of its
// own a few milliseconds later, makes durable: losing it repeats a delivery, while losing
// an accepted message would lose mail. Claims live in memory only.
//
// # What was
//
// What became of a message is written in the batch that makes it so, and costs no sync. It is
// found by its id, or by its sender, a recipient or its Message-ID through hashes that are kept by
// day, and dropped by ranges when it is too old or too much (HistoryOptions). A search that
// finds nothing costs a seek for each day.
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
// Any other failure to write the log or the manifest (an I/O error, or a full disk that
// only shows when a file is synced, as on NFS) leaves in doubt what is on disk, and only a
// new start finds out. The spool then refuses to write, goes on reading, and closes
// Failed, on which the process should end. What was committed is found by the next start.
// A table that cannot be written is written again; until then its content is in the log.
package spool
