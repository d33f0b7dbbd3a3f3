package integration_test

import (
	"context"
	"fmt"
	"net/smtp"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"postrider/integration"
)

// dashboardToken may do everything, lookingToken may look.
const (
	dashboardToken = "0123456789abcdef-operator"
	lookingToken   = "0123456789abcdef-looking"
)

// hostileSubject would show itself if anything made markup of it.
const hostileSubject = `<img src=x onerror="document.title='owned'"><b>hello</b>`

// startDashboard starts a relay whose next hop is dead, with mail that waits for it.
func startDashboard(t *testing.T, ctx context.Context) *integration.Relay {
	t.Helper()
	port, err := integration.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	r := newDashboard(t, smartHost(fmt.Sprintf("127.0.0.1:%d", port)))
	start(t, ctx, r)
	for i := range 12 {
		dashboardMail(t, r, fmt.Sprintf("shop%d@shop.test", i%3), fmt.Sprintf("customer%d@dead.test", i), hostileSubject, i)
	}
	return r
}

// dashboardMail sends a message with the subject; n is for its Message-ID.
func dashboardMail(t *testing.T, r *integration.Relay, from, to, subject string, n int) {
	t.Helper()
	body := "Subject: " + subject + "\r\nMessage-ID: <" + fmt.Sprint(n) + "@shop.test>\r\n\r\nhello\r\n"
	if err := smtp.SendMail(r.Addr(), nil, from, []string{to}, []byte(body)); err != nil {
		t.Fatal(err)
	}
}

// newDashboard configures a relay with a dashboard and its tokens.
func newDashboard(t *testing.T, config string) *integration.Relay {
	t.Helper()
	r := newRelay(t, config)
	text, err := os.ReadFile(r.Config)
	if err != nil {
		t.Fatal(err)
	}
	admin := fmt.Sprintf("admin: {http: \"127.0.0.1:0\", tokens: [{name: anna, token: %s}, {name: guest, token: %s, read_only: true}], socket:", dashboardToken, lookingToken)
	if err := os.WriteFile(r.Config, []byte(strings.Replace(string(text), "admin: {socket:", admin, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	return r
}

// hostileReply is what a next hop may say of a recipient.
const hostileReply = `550 5.1.1 <script>document.title='owned'</script><img src=x onerror=alert(1)> no such user here`

// startBusy starts a relay with mail in every state: delivered, bounced, greylisted, held, paused, being sent to a host
// that is slow, and waiting for one that is dead.
func startBusy(t *testing.T, ctx context.Context) *integration.Relay {
	t.Helper()
	port, err := integration.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	sink := func(args ...string) string { return newSink(t, ctx, "127.0.0.1:0", args...).Addr() }
	r := newDashboard(t, fmt.Sprintf(`suppression: {keep: 90d}
rules:
  - {name: quarantine, at: data, when: 'subject contains "invoice"', hold: a large invoice of somebody unknown}
routes:
  - {name: dead, when: recipient.domain == "dead.test", hosts: ["127.0.0.1:%d"]}
  - {name: grey, when: recipient.domain == "grey.test", hosts: [%q]}
  - {name: strict, when: recipient.domain == "strict.test", hosts: [%q]}
  - {name: slow, when: recipient.domain == "slow.test", hosts: [%q]}
  - {name: a-department-with-a-rather-long-name-in-the-far-north, when: recipient.domain == "paused.test", hosts: ["127.0.0.1:9"]}
  - {name: live, hosts: [%q]}
`, port, sink("--reject", "rcpt:451 4.7.1 Greylisted, please come back later"), sink("--reject", "rcpt:"+hostileReply), sink("--delay", "data:60s"), sink()))
	start(t, ctx, r)
	if _, err := r.Command(ctx, "dest", "pause", "a-department-with-a-rather-long-name-in-the-far-north", "--reason", "their new server comes on Monday", "--author", "anna"); err != nil {
		t.Fatal(err)
	}
	many := 12
	if os.Getenv("POSTRIDER_PICTURES") != "" {
		many = 60
	}
	for i := range many {
		for _, domain := range []string{"dead.test", "grey.test", "strict.test", "slow.test", "paused.test", "live.test"} {
			dashboardMail(t, r, fmt.Sprintf("shop%d@shop.test", i%5), fmt.Sprintf("customer%d@%s", i, domain), hostileSubject, i)
		}
		dashboardMail(t, r, "books@shop.test", fmt.Sprintf("customer%d@live.test", i), "your invoice", i)
	}
	if _, err := r.Command(ctx, "suppression", "add", "somebody.with.a.rather.long.name.of.his.own@an-even-longer-domain.example.test", "--reason", hostileSubject, "--author", "anna"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "bounces", func() bool {
		out, err := r.Command(ctx, "suppression", "list")
		return err == nil && strings.Count(out, "@strict.test") == many
	})
	return r
}

// browse opens a browser. Whatever goes wrong in a page, or is stopped by its policy, fails
// the test.
func browse(t *testing.T, ctx context.Context) context.Context {
	t.Helper()
	needs(t, "chromium")
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath("chromium"), chromedp.NoSandbox, chromedp.UserDataDir(profile(t)))
	ctx, closeAll := chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(closeAll)
	ctx, closeTab := chromedp.NewContext(ctx)
	t.Cleanup(closeTab)
	var mu sync.Mutex
	var wrong []string
	chromedp.ListenTarget(ctx, func(e any) {
		mu.Lock()
		defer mu.Unlock()
		switch e := e.(type) {
		case *runtime.EventExceptionThrown:
			wrong = append(wrong, e.ExceptionDetails.Error())
		case *log.EventEntryAdded:
			if e.Entry.Level == log.LevelError && !strings.Contains(e.Entry.Text, "status of 40") {
				wrong = append(wrong, e.Entry.Text+" "+e.Entry.URL)
			}
		}
	})
	t.Cleanup(func() {
		mu.Lock()
		defer mu.Unlock()
		if len(wrong) > 0 {
			t.Errorf("in the browser: %q", wrong)
		}
	})
	return ctx
}

// profile is a folder for a browser, whose helpers may go on writing there when it has been closed.
func profile(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "browser")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for range 50 {
			if err = os.RemoveAll(dir); err == nil {
				return
			}
			time.Sleep(100 * time.Millisecond) // nobody says when they have ended
		}
		t.Error(err)
	})
	return dir
}

// browseTo runs actions, each within a time.
func browseTo(t *testing.T, ctx context.Context, actions ...chromedp.Action) {
	t.Helper()
	for i, a := range actions {
		err := chromedp.Run(ctx, chromedp.ActionFunc(func(ctx context.Context) error {
			ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
			defer cancel()
			return a.Do(ctx)
		}))
		if err != nil {
			var text string
			_ = chromedp.Run(ctx, chromedp.Text("body", &text)) // for the message
			t.Fatalf("step %d: %v, the page says:\n%.1500s", i, err, text)
		}
	}
}

// shows waits until the page has a text.
func shows(text string) chromedp.Action {
	return chromedp.Poll(fmt.Sprintf("document.body.innerText.includes(%q)", text), nil, chromedp.WithPollingTimeout(12*time.Second))
}

func signIn(url, token string) []chromedp.Action {
	return []chromedp.Action{
		chromedp.Navigate(url), chromedp.WaitVisible("input[name=token]"),
		chromedp.SendKeys("input[name=token]", token), chromedp.Click("button[type=submit]"), shows("deliveries waiting"),
	}
}

// hash goes to a view, which a test does as a link would.
func hash(to string) chromedp.Action {
	return chromedp.Evaluate(fmt.Sprintf("location.hash = %q", to), nil)
}

// confirm waits for the question and says yes, for a reason.
func confirm(reason string) []chromedp.Action {
	return []chromedp.Action{
		chromedp.WaitVisible("dialog input[name=reason]"), chromedp.SendKeys("dialog input[name=reason]", reason),
		chromedp.WaitEnabled("dialog button.main"), chromedp.Click("dialog button.main"), chromedp.WaitNotPresent("dialog"),
	}
}

// What an operator does in a browser: sign in, search, trace, retry, pause, resume, and delete
// after a question.
func TestDashboard(t *testing.T) {
	t.Parallel()
	needs(t, "chromium")
	ctx := within(t, 2*time.Minute)
	relay := startDashboard(t, ctx)
	tab := browse(t, ctx)
	url := "http://" + relay.AddrOf("admin") + "/"

	browseTo(t, tab, chromedp.Navigate(url), chromedp.WaitVisible("input[name=token]"),
		chromedp.SendKeys("input[name=token]", "not the token"), chromedp.Click("button[type=submit]"), shows("no such token"))
	browseTo(t, tab, signIn(url, dashboardToken)...)
	browseTo(t, tab, shows("12"), shows("next"))

	// Search the queue, by the keyboard.
	browseTo(t, tab, hash("#/queue"), shows("12 deliveries"), chromedp.SendKeys("input[name=recipient]", "customer7@*\r"), shows("1 delivery"), shows("connection refused"))

	// Trace, and look at the message: its subject is text.
	var title string
	browseTo(t, tab, hash("#/trace"), chromedp.WaitVisible("input[name=text]"), chromedp.SendKeys("input[name=text]", "customer7@dead.test\r"),
		shows(hostileSubject), chromedp.Click("td a"), shows("Still to be delivered"), shows("7@shop.test"), chromedp.Title(&title))
	if strings.Contains(title, "owned") {
		t.Error("a subject became markup")
	}

	// Retry it.
	browseTo(t, tab, chromedp.Click("button[data-action=retry]"), shows("This means 1 delivery"))
	browseTo(t, tab, confirm("the customer waits")...)
	browseTo(t, tab, shows("to be tried now"))

	// Pause the destination and resume it.
	browseTo(t, tab, hash("#/destination/next"), chromedp.WaitVisible("#pause"), chromedp.Click("#pause"))
	browseTo(t, tab, confirm("maintenance")...)
	browseTo(t, tab, shows("Paused by anna"), shows("maintenance"), chromedp.WaitVisible("#resume"))
	if out, err := relay.Command(ctx, "dest", "pauses"); err != nil || !strings.Contains(out, "maintenance") {
		t.Errorf("paused: %v\n%s", err, out)
	}
	browseTo(t, tab, chromedp.Click("#resume"))
	browseTo(t, tab, confirm("done")...)
	browseTo(t, tab, chromedp.WaitVisible("#pause"))

	// A question that is not answered changes nothing; one that is deletes what was meant.
	browseTo(t, tab, hash("#/queue?sender=shop1%40shop.test"), shows("4 deliveries"), chromedp.Click("button[data-action=delete]"), shows("This means 4 deliveries"),
		chromedp.Click("dialog button.cancel"), chromedp.WaitNotPresent("dialog"), shows("4 deliveries"), chromedp.Click("button[data-action=delete]"), shows("This means 4 deliveries"))
	browseTo(t, tab, confirm("sent twice")...)
	browseTo(t, tab, shows("Nothing in the queue is like that"), hash("#/queue"), shows("8 deliveries"))
	if out, err := relay.Command(ctx, "queue", "list"); err != nil || strings.Contains(out, "shop1@") || !strings.Contains(out, "shop2@") {
		t.Errorf("deleted: %v\n%s", err, out)
	}
	browseTo(t, tab, hash("#/journal"), shows("sent twice"), shows("anna"))
	browseTo(t, tab, hash("#/config"), shows("hostname"), shows("(hidden)"))
	var text string
	if browseTo(t, tab, chromedp.Text("main", &text)); strings.Contains(text, dashboardToken) {
		t.Error("the configuration shows a token")
	}

	// Who has signed out sees nothing any more; who may only look has no buttons.
	browseTo(t, tab, chromedp.Click("#signout"))
	browseTo(t, tab, signIn(url, lookingToken)...)
	var buttons int
	browseTo(t, tab, shows("look, and change nothing"), hash("#/queue"), shows("8 deliveries"), chromedp.Evaluate("document.querySelectorAll('[data-action]').length", &buttons))
	if buttons != 0 {
		t.Errorf("%d buttons for one who may only look", buttons)
	}
}

// look is how a page is looked at.
type look struct {
	name, scheme  string
	width, height int64
	phone         bool
}

// examine looks at the page that is shown.
func (l look) examine(t *testing.T, tab context.Context, view string) {
	t.Helper()
	var wide int64
	var nameless []string
	browseTo(t, tab, chromedp.Evaluate("document.documentElement.scrollWidth", &wide), chromedp.Evaluate(`
		[...document.querySelectorAll('input, select, button, a, [role=img], svg')].filter((e) => !e.closest('[hidden]') &&
			!(e.labels?.length || e.getAttribute('aria-label') || e.innerText?.trim())).map((e) => e.outerHTML.slice(0, 200))`, &nameless))
	if wide > l.width {
		t.Errorf("%s, %s: %d pixels wide on a screen of %d", view, l.name, wide, l.width)
	}
	if len(nameless) > 0 {
		t.Errorf("%s, %s: without a name: %q", view, l.name, nameless)
	}
	dir := os.Getenv("POSTRIDER_PICTURES")
	if dir == "" {
		return
	}
	var picture []byte
	browseTo(t, tab, chromedp.ActionFunc(func(ctx context.Context) (err error) {
		picture, err = page.CaptureScreenshot().Do(ctx)
		return err
	}))
	if err := os.WriteFile(filepath.Join(dir, view+"-"+l.name+".png"), picture, 0o644); err != nil {
		t.Fatal(err)
	}
}

// Pictures of all views in light, dark and on a phone, for people to look at, where
// POSTRIDER_PICTURES names a folder. What a program can see is tested anyway: no view is wider
// than the screen, every field has a name, every picture a text.
func TestDashboardViews(t *testing.T) {
	t.Parallel()
	needs(t, "chromium")
	ctx := within(t, 3*time.Minute)
	relay := startBusy(t, ctx)
	if os.Getenv("POSTRIDER_PICTURES") != "" {
		runLoad(t, ctx, relay.Addr(), 1500, "--rate", "40") // for something to see in the charts
	}
	tab := browse(t, ctx)
	browseTo(t, tab, signIn("http://"+relay.AddrOf("admin")+"/", dashboardToken)...)
	out, err := relay.Command(ctx, "trace", "--recipient", "customer7@strict.test", "--json")
	if err != nil {
		t.Fatal(err)
	}
	_, id, _ := strings.Cut(out, `"id":"`)
	views := map[string]string{
		"overview": "#/", "queue": "#/queue", "trace": "#/trace?sender=shop1%40shop.test", "destinations": "#/destinations", "destination": "#/destination/slow", "closed": "#/destination/dead", "paused": "#/destination/a-department-with-a-rather-long-name-in-the-far-north", "held": "#/queue?state=held",
		"suppressions": "#/suppressions", "nothing": "#/queue?sender=nobody", "unknown": "#/message/01M80EDASMM9JMZ1R4SPP02Z2C",
		"message": "#/message/" + id[:26], "connections": "#/connections", "live": "#/events", "journal": "#/journal", "config": "#/config",
	}
	still := 100 * time.Millisecond
	if os.Getenv("POSTRIDER_PICTURES") != "" {
		still = 400 * time.Millisecond // so that the pictures are of what is there in the end
	}
	for _, look := range []look{{"light", "light", 1280, 900, false}, {"dark", "dark", 1280, 900, false}, {"phone", "light", 390, 844, true}} {
		browseTo(t, tab, emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: look.scheme}}),
			emulation.SetDeviceMetricsOverride(look.width, look.height, 1, look.phone))
		for name, view := range views {
			if look.scheme == "dark" && os.Getenv("POSTRIDER_PICTURES") == "" {
				break // it has the same sizes and names
			}
			browseTo(t, tab, hash(view), chromedp.Poll("document.querySelector('main h1') && !document.body.innerText.includes('Looking…')", nil), chromedp.Sleep(still))
			look.examine(t, tab, name)
		}
	}
}

// What an operator does with suppressions, by the keyboard alone, and what others wrote stays text.
func TestDashboardSuppressions(t *testing.T) {
	t.Parallel()
	needs(t, "chromium")
	binary(t) // building it takes its time
	ctx := within(t, 2*time.Minute)
	relay := startBusy(t, ctx)
	tab := browse(t, ctx)
	browseTo(t, tab, signIn("http://"+relay.AddrOf("admin")+"/", dashboardToken)...)
	browseTo(t, tab, hash("#/suppressions"), shows("13 addresses"), shows(hostileReply[len("550 5.1.1 "):]), shows(hostileSubject))

	// Add one: the button has the focus by its place in the order, Enter opens the question, Escape ends it.
	browseTo(t, tab, chromedp.Focus("#suppress"), chromedp.KeyEvent(kb.Enter), chromedp.WaitVisible("dialog input[name=address]"),
		chromedp.KeyEvent(kb.Escape), chromedp.WaitNotPresent("dialog"), focused("#suppress"), chromedp.KeyEvent(kb.Enter), chromedp.WaitVisible("dialog input[name=address]"), focused("dialog input[name=address]"),
		chromedp.KeyEvent("dan@two.test\t30\twrote to us\r"), chromedp.WaitNotPresent("dialog"), shows("dan@two.test is suppressed"), shows("14 addresses"), shows("in 29 d"))
	if err := send(relay.Addr(), "ann@one.test", "dan@two.test"); err == nil || !strings.Contains(err.Error(), "wrote to us") {
		t.Errorf("suppressed from the browser: %v", err)
	}
	// One that makes no sense is refused where it was typed.
	browseTo(t, tab, chromedp.Click("#suppress"), chromedp.WaitVisible("dialog input[name=address]"), chromedp.KeyEvent("no address\t\tbecause\r"), chromedp.WaitVisible("dialog .notice.bad"),
		chromedp.KeyEvent(kb.Escape), chromedp.WaitNotPresent("dialog"))

	// Search it, and take it off, after a question.
	browseTo(t, tab, chromedp.SendKeys("input[name=address]", "dan*\r"), shows("1 address"), chromedp.Click("button[data-action=unsuppress]"), shows("Remove dan@two.test?"),
		chromedp.Click("dialog button.cancel"), chromedp.WaitNotPresent("dialog"), shows("1 address"), chromedp.Click("button[data-action=unsuppress]"))
	browseTo(t, tab, confirm("he asked again")...)
	browseTo(t, tab, shows("Nobody like that is suppressed"), hash("#/journal"), shows("he asked again"), shows("unsuppress"))
	if err := send(relay.Addr(), "ann@one.test", "dan@two.test"); err != nil {
		t.Errorf("taken off in the browser: %v", err)
	}

	// What the host said is text wherever it is shown.
	var title string
	browseTo(t, tab, hash("#/trace?recipient=customer3%40strict.test"), shows("bounced"), chromedp.Click("td a"), shows("<script>document.title="), chromedp.Title(&title))
	if strings.Contains(title, "owned") {
		t.Error("a reply became markup")
	}
	// What goes on is shown with its phase and reason.
	browseTo(t, tab, hash("#/destination/slow"), shows("carrying"), hash("#/connections"), shows("connection refused"), hash("#/queue?state=held"), shows("a large invoice of somebody unknown"),
		hash("#/destinations"), shows("their new server comes on Monday"))

	// Who may only look has nothing to press.
	var buttons int
	browseTo(t, tab, chromedp.Click("#signout"))
	browseTo(t, tab, signIn("http://"+relay.AddrOf("admin")+"/", lookingToken)...)
	browseTo(t, tab, hash("#/suppressions"), shows("13 addresses"), chromedp.Evaluate("document.querySelectorAll('[data-action]').length", &buttons))
	if buttons != 0 {
		t.Errorf("%d buttons for one who may only look", buttons)
	}
}

// focused waits until the element has the focus.
func focused(selector string) chromedp.Action {
	return chromedp.Poll(fmt.Sprintf("document.activeElement === document.querySelector(%q)", selector), nil, chromedp.WithPollingTimeout(5*time.Second))
}
