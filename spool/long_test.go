package spool_test

import "os"

// long says that the long forms of the tests are wanted.
func long() bool { return os.Getenv("POSTRIDER_LONG") != "" }
