package policy

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"postrider/relay"
)

// recipients compiles the changes of who gets the mail.
func (c *compiler) recipients() {
	r := c.rule
	any := len(r.Redirect)+len(r.AddRecipients)+len(r.BCC)+len(r.RemoveRecipients)+len(r.ReplaceRecipients) > 0
	if any && c.at < rcpt {
		c.faults.add(fmt.Errorf("recipients are changed at rcpt or data, not at %s", c.at), "%s", c.path)
		return
	}
	if len(r.RemoveRecipients) > 0 {
		c.remove()
	}
	for i, w := range r.ReplaceRecipients {
		c.replace(w, fmt.Sprintf("replace_recipient[%d]", i))
	}
	if len(r.Redirect) > 0 {
		c.redirect()
	}
	c.more("add_recipient", "add recipient", r.AddRecipients, 0)
	c.more("bcc", "bcc", r.BCC, relay.NotifyNever)
}

// remove compiles the removal of recipients.
func (c *compiler) remove() {
	patterns, by := c.rule.RemoveRecipients, c.by()
	c.do(func(_ context.Context, f *facts, d *decision) error {
		kept := make([]relay.Recipient, 0, len(d.list))
		for _, r := range d.list {
			if globAny(patterns, recipientAddress(r.Address, f.policy.hostname).Address) {
				d.depart(r, relay.Removed(by))
				d.changed = true
			} else {
				kept = append(kept, r)
			}
		}
		d.list = kept
		return nil
	}, "remove recipient %s", strings.Join(patterns, " "))
}

func globAny(patterns []string, s string) bool {
	for _, p := range patterns {
		if glob(p, s) {
			return true
		}
	}
	return false
}

// replace compiles the change of recipients that match.
func (c *compiler) replace(o Rewrite, field string) {
	w, err := compileRewrite(o)
	if err != nil {
		c.fault(field, err)
		return
	}
	by := c.by()
	c.do(func(_ context.Context, f *facts, d *decision) error {
		list := make([]relay.Recipient, len(d.list))
		for i, r := range d.list {
			list[i] = r
			to, ok, err := w.rewrite(recipientAddress(r.Address, f.policy.hostname).Address)
			if err != nil {
				return err
			}
			if ok && to != r.Address {
				list[i], d.changed = instead(r, to), true
				d.depart(r, relay.Redirected(list[i:i+1], by))
			}
		}
		d.list = list
		return nil
	}, "replace recipient %s by %s", o.Match, o.To)
}

// by says who changes recipients.
func (c *compiler) by() string { return "rule " + c.rule.Name }

// depart notes that a recipient is none any more, and how that is told. Whoever is one again in the
// end has not departed.
func (d *decision) depart(r relay.Recipient, reply relay.Reply) {
	depart(&d.edits, r, reply)
}

func depart(e *relay.Edits, r relay.Recipient, reply relay.Reply) {
	if e.Ends == nil {
		e.Ends = make(map[relay.Address]relay.Reply)
	}
	if _, known := e.Ends[r.Address]; !known {
		e.Ends[r.Address] = reply
		e.Removed = append(e.Removed, r)
	}
}

// instead is the recipient with another address. The notices that its sender wants are about
// the address that the sender knows (RFC 3461 section 4.2).
func instead(r relay.Recipient, to relay.Address) relay.Recipient {
	if r.Original == "" {
		kind := "rfc822;"
		if !r.Address.IsASCII() {
			kind = "utf-8;"
		}
		r.Original = kind + r.Address.String()
	}
	// A route that was named for the other recipient is not meant for this one.
	r.Address, r.Route = to, ""
	return r
}

// redirect compiles the change of all recipients that are asked about.
func (c *compiler) redirect() {
	templates, ok := c.templates("redirect", c.rule.Redirect)
	if !ok {
		return
	}
	by := c.by()
	c.do(func(_ context.Context, f *facts, d *decision) error {
		if len(d.list) == 0 {
			return nil
		}
		var list []relay.Recipient
		for _, t := range templates {
			to, err := t.address(f)
			if err != nil {
				return err
			}
			list = append(list, instead(d.list[0], to))
		}
		reply := relay.Redirected(list, by)
		for _, r := range d.list {
			d.depart(r, reply)
		}
		d.list, d.changed = list, true
		return nil
	}, "redirect to %s", strings.Join(c.rule.Redirect, " "))
}

// more compiles further recipients.
func (c *compiler) more(field, words string, texts []string, notify relay.Notify) {
	if len(texts) == 0 {
		return
	}
	templates, ok := c.templates(field, texts)
	if !ok {
		return
	}
	c.do(func(_ context.Context, f *facts, d *decision) error {
		list := append([]relay.Recipient(nil), d.list...)
		for _, t := range templates {
			to, err := t.address(f)
			if err != nil {
				return err
			}
			list = append(list, relay.Recipient{Address: to, Notify: notify})
		}
		d.list, d.changed = list, true
		return nil
	}, "%s %s", words, strings.Join(texts, " "))
}

// templates compiles addresses. Those without an expression are checked here.
func (c *compiler) templates(field string, texts []string) (list []*template, ok bool) {
	ok = true
	for i, text := range texts {
		t, err := c.template(text)
		if err == nil && t.constant() {
			_, err = parseMailbox(text)
		}
		if err != nil {
			c.fault(fmt.Sprintf("%s[%d]", field, i), err)
			ok = false
		}
		list = append(list, t)
	}
	return list, ok
}

// parseMailbox reads an address that mail can be sent to.
func parseMailbox(text string) (relay.Address, error) {
	a, err := relay.ParseAddress(text)
	if err == nil && a.Domain == "" {
		return a, errors.New("an address with a domain is needed")
	}
	return a, err
}
