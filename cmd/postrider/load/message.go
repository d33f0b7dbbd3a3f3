package load

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"strings"
	"time"
)

// IDField and SumField are what a message of postrider load says about itself, so that whoever receives it can
// tell that it arrived, whole, and how often.
const (
	IDField  = "X-Postrider-Load-Id"
	SumField = "X-Postrider-Load-Sum"
)

// filler is what bodies are made of, as often as it takes.
const filler = "The quick brown fox jumps over the lazy dog, and says so in 70 bytes.\r\n"

// maker writes messages of one size. All share the padding of their bodies: memory
// does not grow with the number of sessions.
type maker struct {
	run  string
	from string
	size int
	pad  []byte
	sums *crc32.Table
}

func newMaker(run, from string, size int) *maker {
	return &maker{
		run: run, from: from, size: size,
		pad:  bytes.Repeat([]byte(filler), size/len(filler)+1),
		sums: castagnoli(),
	}
}

// id names the n-th message of the run.
func (m *maker) id(n int64) string { return fmt.Sprintf("%s-%d", m.run, n) }

// make writes the n-th message up to its padding into b, and gives the padding. Together
// they have the wanted size, or what the header needs where that is more.
func (m *maker) make(b *bytes.Buffer, n int64, now time.Time) (pad []byte) {
	id := m.id(n)
	const noSum = "00000000" // of the right length, to see how much room is left
	room := max(0, m.size-len(m.header(id, noSum, now))-len(firstLine(id, 0)))
	pad = m.pad[:room/len(filler)*len(filler)]
	first := firstLine(id, room-len(pad))
	sum := crc32.Update(crc32.Checksum([]byte(first), m.sums), m.sums, pad)
	b.WriteString(m.header(id, fmt.Sprintf("%08x", sum), now))
	b.WriteString(first)
	return pad
}

func (m *maker) header(id, sum string, now time.Time) string {
	return "From: <" + m.from + ">\r\n" +
		"To: undisclosed-recipients:;\r\n" +
		"Subject: Postrider load " + id + "\r\n" +
		"Date: " + now.Format(time.RFC1123Z) + "\r\n" +
		"Message-ID: <" + id + "@load.example>\r\n" +
		IDField + ": " + id + "\r\n" +
		SumField + ": " + sum + "\r\n\r\n"
}

// firstLine makes each body differ, and takes up what whole lines leave over.
func firstLine(id string, extra int) string {
	return "This is message " + id + strings.Repeat(".", extra) + "\r\n"
}

// BodySum is what SumField holds for a body.
func BodySum(body []byte) string { return fmt.Sprintf("%08x", crc32.Checksum(body, castagnoli())) }

func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }
