package inbound

// bufferSize is the size of the buffer that a session reads through. No command line can
// be longer.
const bufferSize = 16 << 10
