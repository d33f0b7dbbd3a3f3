package outboundtest

import (
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// DNS is a name server on loopback, over UDP and TCP on one port. A name that it has no
// record of does not exist (NXDOMAIN); a name that has only records of other types has no
// data.
type DNS struct {
	tb   testing.TB
	addr string

	mu      sync.Mutex
	records map[string][]dns.RR // by lower-case name with its final dot
	faults  map[string]Fault
	queries map[question]int
	minimum uint32
}

type question struct {
	name  string
	qtype uint16
	net   string
}

// The types of records to count questions for, and the codes to fail with, so that tests need
// no DNS library of their own.
const (
	TypeMX   = dns.TypeMX
	TypeA    = dns.TypeA
	TypeAAAA = dns.TypeAAAA
	ServFail = dns.RcodeServerFailure
	Refused  = dns.RcodeRefused
)

// Fault is how a DNS server misbehaves. Fields combine where that makes sense.
type Fault struct {
	// Rcode is answered instead of data: ServFail, Refused.
	Rcode int
	// Silent gives no answer at all.
	Silent bool
	// Truncate answers over UDP with the TC bit and no records.
	Truncate bool
	// Delay holds the answer back.
	Delay time.Duration
	// Dangling answers with an alias and not with what it stands for.
	Dangling bool
	// Secure sets the AD bit.
	Secure bool
}

// NewDNS starts a server with the records, each a line of a zone file such as
// "example.test. 300 IN MX 10 mx.example.test.". It ends with the test.
func NewDNS(tb testing.TB, records ...string) *DNS {
	tb.Helper()
	d := &DNS{
		tb: tb, records: make(map[string][]dns.RR), faults: make(map[string]Fault),
		queries: make(map[question]int), minimum: 60,
	}
	d.Add(records...)
	udp, tcp := listenBoth(tb)
	d.addr = udp.LocalAddr().String()
	for _, s := range []*dns.Server{{PacketConn: udp}, {Listener: tcp}} {
		started := make(chan struct{})
		s.Handler, s.NotifyStartedFunc = d, func() { close(started) }
		go s.ActivateAndServe()
		<-started
		tb.Cleanup(func() { s.Shutdown() })
	}
	return d
}

// listenBoth finds a port that is free for both protocols.
func listenBoth(tb testing.TB) (net.PacketConn, net.Listener) {
	tb.Helper()
	for range 100 {
		tcp, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			tb.Fatalf("listen for DNS over TCP: %v", err)
		}
		udp, err := net.ListenPacket("udp", tcp.Addr().String())
		if err == nil {
			return udp, tcp
		}
		tcp.Close()
	}
	tb.Fatal("no port is free for DNS over both UDP and TCP")
	return nil, nil
}

// Addr is the address that the server listens on, host and port.
func (d *DNS) Addr() string { return d.addr }

// Add adds records.
func (d *DNS) Add(records ...string) {
	d.tb.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, text := range records {
		rr, err := dns.NewRR(text)
		if err != nil || rr == nil {
			d.tb.Fatalf("record %q: %v", text, err)
		}
		name := canonical(rr.Header().Name)
		d.records[name] = append(d.records[name], rr)
	}
}

// Remove removes all records of a name.
func (d *DNS) Remove(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.records, canonical(name))
}

// Fail makes questions about a name fail; the zero Fault heals it. The name "" stands for
// every name that has no fault of its own.
func (d *DNS) Fail(name string, f Fault) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.faults[canonical(name)] = f
}

// SetMinimum sets how long, in seconds, negative answers may be kept. It is 60 at first.
func (d *DNS) SetMinimum(seconds uint32) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.minimum = seconds
}

// Queries says how often a name's records of a type (TypeMX) were asked for, over UDP and TCP.
func (d *DNS) Queries(name string, qtype uint16) int {
	return d.QueriesOver("udp", name, qtype) + d.QueriesOver("tcp", name, qtype)
}

// QueriesOver is Queries over "udp" or "tcp" alone.
func (d *DNS) QueriesOver(network, name string, qtype uint16) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.queries[question{canonical(name), qtype, network}]
}

// ServeDNS answers one question. It implements dns.Handler.
func (d *DNS) ServeDNS(w dns.ResponseWriter, request *dns.Msg) {
	network := w.RemoteAddr().Network()
	reply, fault := d.answer(request, network)
	if fault.Silent {
		return
	}
	if fault.Delay > 0 {
		time.Sleep(fault.Delay) // this is the fault that was asked for
	}
	if network == "udp" {
		size := dns.MinMsgSize
		if opt := request.IsEdns0(); opt != nil {
			size = int(opt.UDPSize())
		}
		reply.Truncate(size)
	}
	w.WriteMsg(reply)
}

func (d *DNS) answer(request *dns.Msg, network string) (*dns.Msg, Fault) {
	q := request.Question[0]
	name := canonical(q.Name)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.queries[question{name, q.Qtype, network}]++
	fault, ok := d.faults[name]
	if !ok {
		fault = d.faults["."]
	}
	reply := new(dns.Msg).SetReply(request)
	reply.AuthenticatedData = fault.Secure
	switch {
	case fault.Rcode != 0:
		reply.Rcode = fault.Rcode
	case fault.Truncate && network == "udp":
		reply.Truncated = true
	default:
		d.fill(reply, name, q.Qtype)
		for _, rr := range reply.Answer { // a chain of names is as safe as each of them
			f, known := d.faults[canonical(rr.Header().Name)]
			reply.AuthenticatedData = reply.AuthenticatedData && (!known || f.Secure)
		}
		if _, is := firstOf(reply.Answer).(*dns.CNAME); is && fault.Dangling {
			reply.Answer, reply.Ns, reply.Rcode = reply.Answer[:1], nil, dns.RcodeSuccess
		}
	}
	return reply, fault
}

// fill adds the records of the name, following aliases, or says that there are none.
func (d *DNS) fill(reply *dns.Msg, name string, qtype uint16) {
	for range 8 {
		rrs, exists := d.records[name]
		if !exists {
			reply.Rcode = dns.RcodeNameError
			break
		}
		alias := ""
		for _, rr := range rrs {
			if c, ok := rr.(*dns.CNAME); ok && qtype != dns.TypeCNAME {
				alias = canonical(c.Target)
			}
			if rr.Header().Rrtype == qtype || alias != "" {
				reply.Answer = append(reply.Answer, rr)
			}
		}
		if alias == "" {
			break
		}
		name = alias
	}
	if n := len(reply.Answer); n == 0 || reply.Answer[n-1].Header().Rrtype != qtype {
		reply.Ns = []dns.RR{&dns.SOA{
			Hdr: dns.RR_Header{Name: "test.", Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: d.minimum},
			Ns:  "ns.test.", Mbox: "hostmaster.test.", Minttl: d.minimum,
		}}
	}
}

func firstOf(rrs []dns.RR) dns.RR {
	if len(rrs) == 0 {
		return nil
	}
	return rrs[0]
}

func canonical(name string) string { return strings.ToLower(dns.Fqdn(name)) }
