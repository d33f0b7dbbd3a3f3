package main

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"strings"
	"time"
)

// What a message of postrider load says about itself, so that whoever receives it can
// tell that it arrived, whole, and how often.
const (
	loadIDField  = "X-Postrider-Load-Id"
	loadSumField = "X-Postrider-Load-Sum"
)

// loadLine is what bodies are made of, as often as it takes.
const loadLine = "The quick brown fox jumps over the lazy dog, and says so in 70 bytes.\r\n"

// loadMaker writes messages of one size. All share the padding of their bodies: memory
// does not grow with the number of sessions.
type loadMaker struct {
	run  string
	from string
	size int
	pad  []byte
	sums *crc32.Table
}

func newLoadMaker(run, from string, size int) *loadMaker {
	return &loadMaker{
		run: run, from: from, size: size,
		pad:  bytes.Repeat([]byte(loadLine), size/len(loadLine)+1),
		sums: castagnoli(),
	}
}

// id names the n-th message of the run.
func (m *loadMaker) id(n int64) string { return fmt.Sprintf("%s-%d", m.run, n) }

// make writes the n-th message up to its padding into b, and gives the padding. Together
// they have the wanted size, or what the header needs where that is more.
func (m *loadMaker) make(b *bytes.Buffer, n int64, now time.Time) (pad []byte) {
	id := m.id(n)
	const noSum = "00000000" // of the right length, to see how much room is left
	room := max(0, m.size-len(m.header(id, noSum, now))-len(firstLine(id, 0)))
	pad = m.pad[:room/len(loadLine)*len(loadLine)]
	first := firstLine(id, room-len(pad))
	sum := crc32.Update(crc32.Checksum([]byte(first), m.sums), m.sums, pad)
	b.WriteString(m.header(id, fmt.Sprintf("%08x", sum), now))
	b.WriteString(first)
	return pad
}

func (m *loadMaker) header(id, sum string, now time.Time) string {
	return "From: <" + m.from + ">\r\n" +
		"To: undisclosed-recipients:;\r\n" +
		"Subject: Postrider load " + id + "\r\n" +
		"Date: " + now.Format(time.RFC1123Z) + "\r\n" +
		"Message-ID: <" + id + "@load.example>\r\n" +
		loadIDField + ": " + id + "\r\n" +
		loadSumField + ": " + sum + "\r\n\r\n"
}

// firstLine makes each body differ, and takes up what whole lines leave over.
func firstLine(id string, extra int) string {
	return "This is message " + id + strings.Repeat(".", extra) + "\r\n"
}

// bodySum is what loadSumField holds for a body.
func bodySum(body []byte) string { return fmt.Sprintf("%08x", crc32.Checksum(body, castagnoli())) }

func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }
