package outbound

import (
	"fmt"
	"io"

	"postrider/relay"
)

// chunkWriter writes a message as the one chunk of a BDAT (RFC 3030 section 2): as it is, and
// never a byte more than was announced, which the peer would take for a command.
type chunkWriter struct {
	w       io.Writer
	n, size int64
	// err is the first error of w: that of the connection, not of who reads the message.
	err error
}

// Write implements io.Writer.
func (c *chunkWriter) Write(p []byte) (int, error) {
	if c.n+int64(len(p)) > c.size {
		return 0, fmt.Errorf("over the %d bytes that the record says: %w", c.size, relay.ErrCorrupt)
	}
	n, err := c.w.Write(p)
	c.n += int64(n)
	if err != nil {
		c.err = err
	}
	return n, err
}

func (c *chunkWriter) end() error { return c.err }

func (c *chunkWriter) written() (int64, error) { return c.n, c.err }
