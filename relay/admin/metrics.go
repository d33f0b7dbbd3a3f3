package admin

import (
	"bytes"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"postrider/relay"
)

// namespace begins the name of every metric of ours.
const namespace = "postrider"

// Metrics counts the facts that it is told as an Observer, and serves them to Prometheus
// together with what the parts of the relay measure by themselves. A fact costs some atomic
// additions. The number of series is bounded: see destinationSeries.
type Metrics struct {
	registry *prometheus.Registry
	handler  http.Handler

	messages, refused, sessions *prometheus.CounterVec
	size, recipients            prometheus.Counter
	answer, commit              prometheus.Histogram
	signatures                  [len(signatureWords)]prometheus.Counter
	doubles                     prometheus.Counter
	outcomes                    outcomeCounters
	ambiguous, eightBit         prometheus.Counter
	queue, connect, transmit    prometheus.Observer
	notices                     *prometheus.CounterVec
	held                        *prometheus.CounterVec
	closings                    prometheus.Counter
	openings                    prometheus.Counter
	faults                      prometheus.Counter
	destinations                *traffic
}

var _ relay.Observer = (*Metrics)(nil)

// Times are in seconds: of commits and answers from a quarter of a millisecond on, of
// deliveries up to the days that mail may wait.
var (
	answerBuckets = []float64{.00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10}
	delayBuckets  = []float64{.001, .005, .025, .1, .5, 1, 5, 30, 120, 600, 3600, 21600, 86400, 432000}
)

// NewMetrics makes the metrics of one process. The version is the program's.
func NewMetrics(version string, now func() time.Time) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry()}
	m.registerIn()
	m.registerOut()
	m.destinations = newTraffic(destinationSeries, now)
	m.registry.MustRegister(m.destinations)
	info := m.gauges("build_info", "The program, always 1.", "version")
	info.WithLabelValues(version).Set(1)
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.handler = promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4})
	return m
}

// ServeHTTP answers Prometheus.
func (m *Metrics) ServeHTTP(w http.ResponseWriter, r *http.Request) { m.handler.ServeHTTP(w, r) }

// registerIn makes the metrics of the way in.
func (m *Metrics) registerIn() {
	m.messages = m.counters("messages_accepted_total", "Messages accepted and safe on disk, by listener and the client's TLS version.", "listener", "tls")
	m.refused = m.counters("refused_total", "Commands and messages refused, by stage, reply code and reason.", "stage", "code", "reason")
	m.size = m.counter("accepted_bytes_total", "Bytes of the messages accepted.")
	m.recipients = m.counter("recipients_accepted_total", "Recipients of the messages accepted.")
	m.answer = m.histogram("answer_seconds", "Time from the last byte of a message to its 250.", answerBuckets)
	m.commit = m.histogram("commit_seconds", "Time of the durable commit, a part of answer_seconds.", answerBuckets)
	vec := m.counters("messages_signed_total", "Messages accepted by what became of their DKIM signature, and why they have none.", "result", "reason")
	for i, words := range signatureWords {
		m.signatures[i] = vec.WithLabelValues(words[0], words[1])
	}
}

// registerOut makes the metrics of the way out.
func (m *Metrics) registerOut() {
	m.outcomes = newOutcomeCounters(m.counters("recipients_total", "What attempts made of recipients, by status and the class of the reply.", "status", "class"))
	m.eightBit = m.counter("eight_bit_total", "Attempts that sent 8-bit text to a host that does not offer 8BITMIME.")
	m.ambiguous = m.counter("ambiguous_total", "Attempts that may have delivered a message and will be repeated.")
	m.sessions = m.counters("attempts_total", "Attempts, by the TLS version of the session; none where it was in clear, unreached where there was no session.", "tls")
	delay := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: namespace, Name: "delay_seconds", Buckets: delayBuckets,
		Help: "Where the time of attempts went: queue is the wait since the message came or was due, connect opening the connection, transmit the transaction.",
	}, []string{"phase"})
	m.registry.MustRegister(delay)
	m.queue, m.connect, m.transmit = delay.WithLabelValues("queue"), delay.WithLabelValues("connect"), delay.WithLabelValues("transmit")
	m.notices = m.counters("notices_total", "Notices to senders, by what they are about; dropped where the message has no sender.", "status", "dropped")
	m.doubles = m.counter("double_bounces_total", "Messages without a sender, such as notices, that failed for good: nobody can be told.")
	m.held = m.counters("held_total", "Recipients whose mail was held, by whom: the configuration or an operator.", "by")
	m.closings = m.counter("gate_closings_total", "How often the way to a destination or site closed.")
	m.openings = m.counter("gate_openings_total", "How often a way that was closed opened again.")
	m.faults = m.counter("faults_total", "Failures of ours that were contained. Each has a line in the log.")
}

func (m *Metrics) counter(name, help string) prometheus.Counter {
	c := prometheus.NewCounter(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help})
	m.registry.MustRegister(c)
	return c
}

func (m *Metrics) counters(name, help string, labels ...string) *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
	m.registry.MustRegister(c)
	return c
}

func (m *Metrics) gauges(name, help string, labels ...string) *prometheus.GaugeVec {
	g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help}, labels)
	m.registry.MustRegister(g)
	return g
}

func (m *Metrics) histogram(name, help string, buckets []float64) prometheus.Histogram {
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: namespace, Name: name, Help: help, Buckets: buckets})
	m.registry.MustRegister(h)
	return h
}

// signatureWords say what became of a message's DKIM signature.
var signatureWords = [...][2]string{
	signatureMade: {"signed", ""}, signatureNone: {"unsigned", "no_key"},
	signatureHeader: {"failed", "header"}, signatureKey: {"failed", "key"}, signatureFailed: {"failed", "other"},
}

const (
	signatureMade = iota
	signatureNone
	signatureHeader
	signatureKey
	signatureFailed
)

// unsignable is an error of a signer that has a reason in one word: header, where the message has one that
// verifiers would not agree on, or key, where the key that a rule names is not there.
type unsignable interface {
	error
	Unsignable() string
}

func signature(e *relay.Accepted) int {
	switch why, _ := errors.AsType[unsignable](e.Unsigned); {
	case why != nil && why.Unsignable() == signatureWords[signatureHeader][1]:
		return signatureHeader
	case why != nil && why.Unsignable() == signatureWords[signatureKey][1]:
		return signatureKey
	case e.Unsigned != nil:
		return signatureFailed
	case bytes.HasPrefix(e.Message.Header, []byte("DKIM-Signature:")):
		return signatureMade
	}
	return signatureNone
}

// Accepted counts the message.
func (m *Metrics) Accepted(e relay.Accepted) {
	msg := e.Message
	m.messages.WithLabelValues(msg.Origin.Listener, tlsVersion(msg.Origin.TLS)).Inc()
	m.size.Add(float64(msg.Size))
	m.recipients.Add(float64(len(msg.Envelope.Recipients)))
	m.commit.Observe(e.Commit.Seconds())
	m.answer.Observe(e.Answer.Seconds())
	m.signatures[signature(&e)].Inc()
}

// Refused counts the refusal.
func (m *Metrics) Refused(e relay.Refused) {
	m.refused.WithLabelValues(e.Stage, code(e.Reply.Code), string(e.Reason)).Inc()
}

// code is a reply's code as a label. Rules can answer with any, within reason.
func code(n int) string {
	if n < 400 || n > 599 {
		return "other"
	}
	return strconv.Itoa(n)
}

// Attempted counts what became of each recipient.
func (m *Metrics) Attempted(e relay.Attempted) {
	for i := range e.Outcomes {
		o := &e.Outcomes[i]
		m.outcomes.count(o.Status, o.Reply.Class)
	}
	m.destinations.count(e.Delivery.To, e.Outcomes)
	if e.Ambiguous {
		m.ambiguous.Inc()
	}
	if e.EightBit {
		m.eightBit.Inc()
	}
	if e.Addr == "" {
		m.sessions.WithLabelValues("unreached").Inc()
		return
	}
	m.sessions.WithLabelValues(tlsVersion(e.TLS)).Inc()
	m.queue.Observe(max(e.Queue, 0).Seconds())
	if e.Connect > 0 { // a connection that was reused took none
		m.connect.Observe(e.Connect.Seconds())
	}
	m.transmit.Observe(e.Transmit.Seconds())
}

// tlsVersion is the version in a session's description, which begins with it.
func tlsVersion(session string) string {
	version, _, _ := strings.Cut(session, ",")
	switch version = strings.TrimSpace(version); {
	case version == "":
		return "none"
	case strings.HasPrefix(version, "TLS") && len(version) <= len("TLSv1.3"):
		return version
	}
	return "other"
}

// Notified counts the notice.
func (m *Metrics) Notified(e relay.Notified) {
	m.notices.WithLabelValues(e.Status.String(), strconv.FormatBool(e.Dropped)).Inc()
	if e.Dropped && e.Status != relay.Deferred {
		m.doubles.Inc()
	}
}

// Held counts the recipients.
func (m *Metrics) Held(e relay.Held) {
	by := "configuration"
	if e.Operator != "" {
		by = "operator"
	}
	m.held.WithLabelValues(by).Add(float64(len(e.Delivery.Recipients)))
}

// Gated counts how often ways close and open. Which are closed now is read when asked.
func (m *Metrics) Gated(e relay.Gated) {
	if e.Closed {
		m.closings.Inc()
	} else {
		m.openings.Inc()
	}
}

// Faulted counts the failure.
func (m *Metrics) Faulted(relay.Fault) { m.faults.Inc() }
