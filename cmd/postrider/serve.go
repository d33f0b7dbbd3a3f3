package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	crand "crypto/rand"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"postrider/configs"
	"postrider/inbound"
	"postrider/outbound/tlsrpt"
	"postrider/policy"
	"postrider/relay"
	"postrider/relay/admin"
	"postrider/relay/feed"
	"postrider/relay/suppression"
	"postrider/relay/transcript"
	"postrider/spool"
)

func newServeCommand() *cobra.Command {
	var flags configFlags
	serve := &cobra.Command{
		Use:     "serve",
		GroupID: groupRelay,
		Short:   "Run the relay",
		Long: `Run the relay: take mail, put it on stable storage, answer 250, and deliver it.

Without a configuration file mail is taken at 127.0.0.1:2525, from this host only,
and delivered to the mail servers of its recipients, or through --relay-host. The
flags cover what a container needs; everything else is in the configuration file
(see configs/examples).

The log goes to stderr. A line "ready" says that all listeners are up. SIGTERM and
SIGINT stop the relay: messages being received and attempts under way may finish,
everything else waits in the data directory for the next start. SIGHUP reads the
configuration again, as postrider reload does; certificates, keys, users and lists are
read again by themselves when their files change.`,
		Example: `  postrider serve --relay-host 127.0.0.1:2626
  postrider serve --listen :25 --allow 10.0.0.0/8 --hostname relay.example.com --data /var/lib/postrider
  postrider serve --relay-host smtp.example.com:587 --relay-user app --relay-password-file /run/secrets/smtp
  postrider serve --config /etc/postrider.yaml`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return serve(cmd.Context(), flags.load)
		},
	}
	flags.addFile(serve)
	flags.addOverrides(serve)
	return serve
}

// serve runs the relay until ctx ends, with the configuration that load reads at the start and
// at each reload.
func serve(ctx context.Context, load func() (*configs.Config, error)) (err error) {
	config, err := load()
	if err != nil {
		return err
	}
	level := new(logLevel)
	if err := level.parse(config.Log.Level); err != nil {
		return err
	}
	form := formOf(config.Log.Format, os.Stderr)
	writer := newLogWriter(os.Stderr, form)
	defer writer.Close()
	d, err := build(config, newLogger(writer, form).Sample(level), writer.Figures)
	if err != nil {
		return err
	}
	d.level, d.reloading.load = level, load
	defer func() { err = errors.Join(err, d.close()) }()
	return d.run(ctx)
}

// relayd is the relay with all its parts bound and none running.
type relayd struct {
	log       zerolog.Logger
	level     *logLevel
	observer  relay.Observers
	spool     *spool.Spool
	scheduler *relay.Scheduler
	receiver  *relay.Receiver
	// meters outlive the rules that count by them.
	meters     *policy.Meters
	transports *transports
	// breakers are those of the services that are asked about mail and users.
	breakers  breakers
	reloading reloading
	// transcripts are those that operators ask for.
	transcripts *transcript.Book
	// suppressions are those for whom no mail is taken.
	suppressions *suppression.List
	// reporter is nil where no domain is told of its TLS.
	reporter *tlsrpt.Reporter
	admin    *admin.Server
	inbound  *inbound.Server
	// feed is nil where nobody is told of events.
	feed *feed.Feed
	// shown is the configuration in force, for operators to see.
	shown atomic.Pointer[string]
	// closers are what to close at the end, last opened first.
	closers []func() error
}

// build opens the spool and binds the listeners. On an error nothing is left open.
func build(config *configs.Config, log zerolog.Logger, logFigures func() []relay.Figure) (d *relayd, err error) {
	d = &relayd{log: log, meters: policy.NewMeters(), transports: newTransports(), breakers: breakers{log: log}}
	d.reloading.config, d.reloading.again = config, make(chan struct{}, 1)
	d.shown.Store(&config.Shown)
	defer func() {
		if err != nil {
			err = errors.Join(err, d.close())
		}
	}()
	metrics := admin.NewMetrics(version(), time.Now)
	events := admin.NewEvents(time.Now)
	trend := admin.NewTrend(time.Now)
	observer := relay.Observers{logObserver{log}, metrics, events, trend}
	d.observer = observer
	d.transcripts = transcript.New(transcript.Options{
		Dir: filepath.Join(config.Data, "transcripts"), Now: time.Now, Fault: observer.Faulted,
	})
	clock := newClock()
	ids := relay.NewIDs(clock.Now, crand.Reader)

	config.Spool.Fault = observer.Faulted
	if d.spool, err = spool.Open(config.Spool); err != nil {
		return d, err
	}
	d.closers = append(d.closers, d.spool.Close)
	resumeClock(clock, d.spool, observer.Faulted)
	if err := d.openSuppressions(config); err != nil {
		return d, err
	}
	observer = d.observer

	if err := openTLSReports(config); err != nil {
		return d, err
	}
	t, err := d.terms(config)
	if err != nil {
		return d, err
	}
	d.transports.current.Store(t.transport)
	d.breakers.store(t.breakers)

	o := t.scheduler()
	o.Spool, o.Observer = d.spool, observer
	o.IDs, o.Now, o.Chance, o.Notes = ids, clock.Now, rand.Float64, d.spool
	if d.scheduler, err = relay.NewScheduler(o); err != nil {
		return d, err
	}
	r := t.receiver()
	r.Spool, r.Observer, r.History, r.Suppressions = d.spool, observer, d.spool, d.suppressions
	r.Scheduler, r.IDs, r.Now = d.scheduler, ids, clock.Now
	if d.receiver, err = relay.NewReceiver(r); err != nil {
		return d, err
	}
	if d.reporter, err = newReporter(config.TLSReports, d.transports.lookupTXT, d.receiver, observer.Faulted); err != nil {
		return d, err
	}

	inboundFigures := func() []relay.Figure { return d.inbound.Figures() } // it is there before anybody asks
	figures := []func() []relay.Figure{logFigures, d.spool.Figures, d.transports.figures, inboundFigures, d.suppressions.Figures, d.breakers.Figures}
	if d.feed, err = newFeed(config, events, ids, observer.Faulted); err != nil {
		return d, err
	}
	if d.feed != nil {
		d.closers = append(d.closers, d.feed.Close)
		figures = append(figures, d.feed.Figures)
	}
	importer, err := relay.NewImporter(relay.ImporterOptions{
		Spool: d.spool, History: d.spool, Scheduler: d.scheduler, Notes: d.spool, IDs: ids, Told: logOrders(log), Now: time.Now,
	})
	if err != nil {
		return d, err
	}
	operator, err := relay.NewOperator(context.Background(), relay.OperatorOptions{
		Scheduler: d.scheduler, Notes: d.spool, Told: logOrders(log), Durable: d.spool.Alive,
	})
	if err != nil {
		return d, err
	}
	d.admin, err = admin.New(admin.Options{
		Socket: config.Admin.Socket, HTTP: config.Admin.HTTP, TLS: config.Admin.TLS, Tokens: config.Admin.Tokens,
		Spool: d.spool, Scheduler: d.scheduler, Operator: operator, Reloader: d, History: d.spool, Metrics: metrics, Events: events, Now: time.Now,
		Trend: trend, Config: func() string { return *d.shown.Load() },
		Figures: figures, Alive: d.alive,
		Transcripts: d.transcripts, Suppressions: d.suppressions, OAuthTokens: d.transports.tokens,
		Importer: importer, Checkpoint: d.spool.Checkpoint,
	})
	if err != nil {
		return d, err
	}
	d.closers = append(d.closers, d.admin.Close)
	if config.Inbound.Bound, err = inherited(config.Inbound.Listeners); err != nil {
		return d, err
	}
	config.Inbound.Receiver, config.Inbound.Observer, config.Inbound.Transcripts = d.receiver, observer, d.transcripts
	if d.inbound, err = inbound.New(config.Inbound); err != nil {
		return d, err
	}
	d.closers = append(d.closers, d.inbound.Close)
	return d, nil
}

// run serves until ctx ends or a part fails, and stops the parts one after the other:
// first nothing is taken any more, then nothing is delivered, then nobody is answered.
func (d *relayd) run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	parts := []*part{
		{name: "admin", run: d.admin.Run},
		{name: "transcripts", run: d.transcripts.Run},
		{name: "suppressions", run: d.suppressions.Run},
		{name: "scheduler", run: d.scheduler.Run},
		{name: "transport", run: d.transports.run},
		{name: "rerouting", run: d.reroute},
		{name: "inbound", run: d.inbound.Run},
	}
	if d.feed != nil {
		parts = append([]*part{{name: "events", run: d.feed.Run}}, parts...) // it ends last
	}
	if d.reporter != nil {
		parts = append(parts, &part{name: "TLS reports", run: d.reporter.Run})
	}
	dog, err := newWatchdog(d.log, d.alive)
	if err != nil {
		return err
	}
	if dog != nil {
		parts = append(parts, &part{name: "watchdog", run: dog.run})
	}
	for _, p := range parts {
		p.start(context.WithoutCancel(ctx), cancel)
	}
	d.announce()
	d.wait(ctx, cancel)
	d.log.Info().Msg("stopping")
	notify(d.log, daemon.SdNotifyStopping)
	var errs []error
	for _, p := range slices.Backward(parts) {
		errs = append(errs, p.stop())
	}
	d.log.Info().Msg("stopped")
	if cause := context.Cause(ctx); cause == errSpoolFailed {
		errs = append(errs, cause)
	}
	return errors.Join(errs...)
}

// wait returns when the relay is to stop. SIGHUP reads the configuration again.
func (d *relayd) wait(ctx context.Context, cancel context.CancelCauseFunc) {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.spool.Failed():
			cancel(errSpoolFailed)
			return
		case <-hangup:
			_, _ = d.reload() // the log has how it went
			d.reopen()
		}
	}
}

// reopen opens the event log anew, after it was moved away.
func (d *relayd) reopen() {
	if d.feed == nil {
		return
	}
	if err := d.feed.Reopen(); err != nil {
		d.log.Error().Err(err).Msg("event log not opened anew")
	}
}

// errSpoolFailed ends the relay. The log has the cause; what was accepted is on disk.
var errSpoolFailed = errors.New("the spool cannot be written any more, see the log; start again to recover")

// alive returns nil once the relay has proved that it moves: the scheduler, then the spool.
func (d *relayd) alive(ctx context.Context) error {
	if err := d.scheduler.Alive(ctx); err != nil {
		return err
	}
	return d.spool.Alive(ctx)
}

// announce says where clients can connect, and that they can.
func (d *relayd) announce() {
	for name, addr := range d.inbound.Addrs() {
		d.log.Info().Str("listener", name).Stringer("addr", addr).Msg("listening")
	}
	if addr := d.admin.Addr(); addr != nil {
		d.log.Info().Str("listener", "admin").Stringer("addr", addr).Msg("listening")
	}
	d.log.Info().Msg("ready")
	notify(d.log, daemon.SdNotifyReady)
}

// notify tells systemd, where it is listening.
func notify(log zerolog.Logger, state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		log.Warn().Err(err).Msg("systemd could not be told " + state)
	}
}

// close closes what build opened. What run has stopped is closed already, which is no error.
func (d *relayd) close() error {
	var errs []error
	for _, f := range slices.Backward(d.closers) {
		errs = append(errs, f())
	}
	d.closers = nil
	return errors.Join(errs...)
}

// part is a piece of the relay that runs until it is told to stop.
type part struct {
	name  string
	run   func(context.Context) error
	end   context.CancelFunc
	ended chan struct{}
	// err is how run ended, once ended is closed.
	err error
}

// start runs the part. Should it fail, everything is to stop, and that is the cause.
func (p *part) start(ctx context.Context, fail context.CancelCauseFunc) {
	ctx, p.end = context.WithCancel(ctx)
	p.ended = make(chan struct{})
	go func() {
		defer close(p.ended)
		if err := p.run(ctx); err != nil {
			p.err = fmt.Errorf("%s: %w", p.name, err)
			fail(p.err)
		}
	}()
}

// stop ends the part, waits for it, and says what went wrong with it.
func (p *part) stop() error {
	p.end()
	<-p.ended
	return p.err
}
