package feed

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"postrider/relay"
)

// Event is something that happened.
type Event struct {
	// Kind is its word, and From, To and Destination what filters look at.
	Kind, From, To, Destination string
	// JSON is the whole of it, an object that is not empty.
	JSON []byte
}

// Options says where events go.
type Options struct {
	// Log is the file of the event log; "" for none. LogEvents are the kinds that it has.
	Log       string
	LogEvents []string
	// Dir is the directory of the outbox. It is needed for webhooks.
	Dir      string
	Webhooks []Webhook
	// Size and Age bound the outbox, in bytes and time; what is beyond is dropped, the oldest
	// first. They default to DefaultSize and DefaultAge.
	Size int64
	Age  time.Duration

	// IDs makes the ids of events; it must be set. Now and Chance default to the real ones.
	IDs    *relay.IDs
	Now    func() time.Time
	Chance func() float64
	// Fault is told what goes wrong, at most once a minute for each thing.
	Fault func(relay.Fault)
	// HTTP sends webhooks.
	HTTP *http.Client
}

// Webhook is who gets events by HTTP.
type Webhook struct {
	// Name is for operators, and names the webhook's place in the outbox.
	Name string
	// URL is where batches are posted, and Secret what they are signed with: the bytes, or
	// "whsec_" and base64, as the Standard Webhooks specification has it.
	URL, Secret string
	// Events are the kinds wanted. From, To and Destination are patterns, in which * stands for
	// any characters; an empty one is met by all.
	Events                []string
	From, To, Destination string
}

// The bounds of an outbox where nothing is said.
const (
	DefaultSize = 256 << 20
	DefaultAge  = 3 * 24 * time.Hour
)

// DefaultEvents are the kinds that are wanted where nothing is said.
func DefaultEvents() []string {
	return []string{"delivered", "deferred", "bounced", "expired", "deleted", "discarded", "held"}
}

// KindGap tells of events that were dropped.
const KindGap = "gap"

// pendingMost is how many events may wait to be written.
const pendingMost = 16384

// Feed passes events on.
type Feed struct {
	o       Options
	wanted  map[string]bool
	logged  map[string]bool
	pending chan Event
	lost    atomic.Int64
	dropped atomic.Int64

	log    *logFile
	box    *outbox
	hooks  []*hook
	faults faults
}

// New opens the log and the outbox, and starts nothing.
func New(o Options) (*Feed, error) {
	if o.IDs == nil {
		return nil, errors.New("feed: IDs must be set")
	}
	o.Size, o.Age = cmp.Or(o.Size, DefaultSize), cmp.Or(o.Age, DefaultAge)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.HTTP == nil {
		o.HTTP = newClient()
	}
	f := &Feed{o: o, wanted: make(map[string]bool), logged: make(map[string]bool), pending: make(chan Event, pendingMost)}
	f.faults = faults{now: o.Now, tell: o.Fault}
	for _, kind := range append(o.LogEvents, KindGap) {
		f.logged[kind] = o.Log != ""
	}
	if err := f.open(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func (f *Feed) open() (err error) {
	if f.o.Log != "" {
		if f.log, err = openLog(f.o.Log); err != nil {
			return fmt.Errorf("event log: %w", err)
		}
	}
	if len(f.o.Webhooks) == 0 {
		return nil
	}
	if f.box, err = openOutbox(f.o.Dir, f.o.Size, f.o.Age, f.o.Now); err != nil {
		return fmt.Errorf("outbox of webhooks: %w", err)
	}
	for _, w := range f.o.Webhooks {
		h, err := newHook(w, f)
		if err != nil {
			return fmt.Errorf("webhook %s: %w", w.Name, err)
		}
		f.hooks = append(f.hooks, h)
		for _, kind := range append(w.Events, KindGap) {
			f.wanted[kind] = true
		}
	}
	return nil
}

// Wants says whether anybody wants events of a kind.
func (f *Feed) Wants(kind string) bool { return f.wanted[kind] || f.logged[kind] }

// Add takes an event, or drops it where too many wait. It never blocks.
func (f *Feed) Add(e Event) {
	if !f.Wants(e.Kind) {
		return
	}
	select {
	case f.pending <- e:
	default:
		f.drop(1)
	}
}

// Reopen opens the event log anew, after it was moved away.
func (f *Feed) Reopen() error {
	if f.log == nil {
		return nil
	}
	return f.log.reopen()
}

// Run writes events and sends them until ctx ends. What waits then is written, and sent after
// the next start.
func (f *Feed) Run(ctx context.Context) error {
	var all sync.WaitGroup
	defer all.Wait()
	for _, h := range f.hooks {
		all.Go(func() { h.run(ctx) })
	}
	if f.box == nil {
		f.pass(ctx)
		return nil
	}
	if since := f.box.crashed; !since.IsZero() {
		f.write(gap(f.o.Now(), missed{Since: since}))
	}
	all.Go(func() { f.sync(ctx) })
	if !f.pass(ctx) {
		return nil // some are missed: the next run tells
	}
	if err := f.box.ended(); err != nil {
		f.faults.tellOnce("write the outbox of webhooks", err)
	}
	return nil
}

// pass writes events until ctx ends, and then the rest. It says whether all that anybody wants is written.
func (f *Feed) pass(ctx context.Context) bool {
	for {
		select {
		case <-ctx.Done():
			for len(f.pending) > 0 {
				f.write()
			}
			return f.lost.Load() == 0
		case e := <-f.pending:
			f.write(e)
		}
	}
}

// syncEvery is how much a failure of power can take of what was written to the outbox.
const syncEvery = time.Second

// sync brings the outbox to the disk every now and then, apart from who writes to it.
func (f *Feed) sync(ctx context.Context) {
	tick := time.NewTicker(syncEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := f.box.sync(); err != nil {
				f.faults.tellOnce("write the outbox of webhooks", err)
			}
		}
	}
}

// write puts down what waits.
func (f *Feed) write(events ...Event) {
	for len(f.pending) > 0 && len(events) < 1024 {
		events = append(events, <-f.pending)
	}
	lost := f.lost.Swap(0)
	if lost > 0 {
		f.faults.tellOnce("keep up with events", fmt.Errorf("%d dropped", lost))
		events = append(events, gap(f.o.Now(), missed{Lost: lost}))
	}
	var logged, boxed []byte
	var n int64
	for i := range events {
		line := f.line(&events[i])
		if f.logged[events[i].Kind] {
			logged = append(logged, line...)
		}
		if f.wanted[events[i].Kind] {
			boxed = append(boxed, line...)
			n += number(events[i].Kind != KindGap)
		}
	}
	if len(logged) > 0 {
		if err := f.log.write(logged); err != nil {
			f.faults.tellOnce("write the event log", err)
		}
	}
	if len(boxed) > 0 && !f.put(boxed) {
		f.drop(n)
		f.lost.Add(lost) // nobody was told
	}
}

// drop counts events that somebody misses, who is told of them with what comes next.
func (f *Feed) drop(n int64) {
	f.lost.Add(n)
	f.dropped.Add(n)
}

func number(yes bool) int64 {
	if yes {
		return 1
	}
	return 0
}

// put writes to the outbox, and says whether that was done.
func (f *Feed) put(lines []byte) bool {
	if err := f.box.add(lines); err != nil {
		f.faults.tellOnce("write the outbox of webhooks", err)
		return false
	}
	for name, missed := range f.box.trim(f.hooks) {
		f.dropped.Add(missed)
		f.faults.tellOnce("send webhooks to "+name, fmt.Errorf("%d events dropped: the outbox has no room for more, or they are too old", missed))
	}
	for _, h := range f.hooks {
		h.wake()
	}
	return true
}

// line is the event as it is written, with an id that stays the same however often it is sent.
func (f *Feed) line(e *Event) []byte {
	line := fmt.Appendf(nil, `{"event_id":"%s",`, f.o.IDs.Next())
	return append(append(line, e.JSON[1:]...), '\n')
}

// missed is what somebody was not told of.
type missed struct {
	Lost int64 `json:"lost"`
	// Since is set after a crash: what happened between then and the next start may be missing, too.
	Since time.Time `json:"since,omitzero"`
}

func gap(now time.Time, m missed) Event {
	text, err := json.Marshal(struct {
		Time  time.Time `json:"time"`
		Event string    `json:"event"`
		missed
	}{now, KindGap, m})
	if err != nil {
		text = []byte(`{"event":"gap"}`) // a number and a time can be said
	}
	return Event{Kind: KindGap, JSON: text}
}

// Figures are for metrics.
func (f *Feed) Figures() []relay.Figure {
	figures := []relay.Figure{{Name: "events_dropped_total", Help: "Events that webhooks or the event log missed.", Value: float64(f.dropped.Load()), Grows: true}}
	if f.box != nil {
		figures = append(figures,
			relay.Figure{Name: "outbox_used_bytes", Help: "Bytes of the webhooks' outbox, those included that all have seen.", Value: float64(f.box.used())},
			relay.Figure{Name: "outbox_limit_bytes", Help: "Bytes that the outbox may take before its oldest events are dropped.", Value: float64(f.o.Size)},
		)
	}
	for _, h := range f.hooks {
		labels := []string{"webhook", h.w.Name}
		figures = append(figures,
			relay.Figure{Name: "webhook_sent_total", Help: "Events that a webhook has taken.", Labels: labels, Value: float64(h.sent.Load()), Grows: true},
			relay.Figure{Name: "webhook_failures_total", Help: "Batches that a webhook has not taken.", Labels: labels, Value: float64(h.failed.Load()), Grows: true},
			relay.Figure{Name: "webhook_failing_seconds", Help: "Since when a webhook has taken nothing of what it was sent; 0 while it takes what comes.", Labels: labels, Value: h.failing(f.o.Now()).Seconds()},
			relay.Figure{Name: "webhook_behind_bytes", Help: "Bytes of the outbox that a webhook has not seen.", Labels: labels, Value: float64(f.box.behind(h.place()))},
		)
	}
	return figures
}

// Close closes the files.
func (f *Feed) Close() error {
	var errs []error
	if f.log != nil {
		errs = append(errs, f.log.close())
	}
	if f.box != nil {
		errs = append(errs, f.box.close())
	}
	return errors.Join(errs...)
}

// faults tells of each thing once a minute.
type faults struct {
	now  func() time.Time
	tell func(relay.Fault)

	mu   sync.Mutex
	last map[string]time.Time
}

func (f *faults) tellOnce(doing string, err error) {
	now := f.now()
	f.mu.Lock()
	if f.last == nil {
		f.last = make(map[string]time.Time)
	}
	before, told := f.last[doing]
	if !told || now.Sub(before) >= time.Minute {
		f.last[doing] = now
		told = false
	}
	f.mu.Unlock()
	if !told && f.tell != nil {
		f.tell(relay.Fault{Doing: doing, Err: err})
	}
}

// wants says whether a webhook wants an event.
func (w *Webhook) wants(e *Event) bool {
	return e.Kind == KindGap || slices.Contains(w.Events, e.Kind) &&
		relay.Like(w.From, e.From) && relay.Like(w.To, e.To) && relay.Like(w.Destination, e.Destination)
}
