package auth

import (
	"testing"

	"postrider/relay"
)

// A service that names no senders allows none.
func TestNoSenders(t *testing.T) {
	t.Parallel()
	yes := true
	id, err := (&answer{OK: &yes, Senders: []string{}}).identity("ann")
	if err != nil {
		t.Fatal(err)
	}
	if id.Senders.Allow(relay.Address{Local: "ceo", Domain: "example.com"}) {
		t.Error("a service that allows no sender allows any")
	}
}

// A From field that names nobody, only a group, is not the user's.
func TestHeaderOfNobody(t *testing.T) {
	t.Parallel()
	a := &Authority{o: Options{FromHeader: true}}
	id := &Identity{User: "bob", Senders: Senders{"bob@example.com"}}
	if a.Header(id, []string{`"ceo@example.com":;`}) == nil {
		t.Error("a From of nobody passes")
	}
}

// Names may be in any charset and say anything; addresses are the user's, all of them.
func TestHeader(t *testing.T) {
	t.Parallel()
	a := &Authority{o: Options{FromHeader: true}}
	id := &Identity{User: "bob", Senders: Senders{"bob@example.com", "@shop.example"}}
	for from, want := range map[string]bool{
		"bob@example.com": true,
		"=?windows-1252?Q?B=F6b?= <bob@example.com>":                true,
		"=?gb2312?B?1dU=?= <bob@example.com>":                       true,
		"=?koi8-r?B?4s/C?= =?koi8-r?Q?=C2?= <bob@example.com>":      true,
		"=?iso-2022-jp?B?GyRCJCIbKEI=?= <bob@example.com>":          true,
		"=?utf-8?B??= <bob@example.com>":                            true,
		"B\xf6b <bob@example.com>":                                  true,
		"\"B\xf6b, \xe9\" <bob@example.com>":                        true,
		"bob@example.com (=?gb2312?B?1dU=?=)":                       true,
		"=?gb2312?Q?ceo=40bank.example=2C?= <bob@example.com>":      true,
		`"ceo@bank.example, <ceo@bank.example>" <bob@example.com>`:  true,
		"\xf6 <bob@example.com>, =?x?Q?y?= <any@shop.example>":      true,
		"\xf6: =?x?Q?y?= <bob@example.com>;":                        true,
		"=?gb2312?B?1dU=?= <ceo@bank.example>":                      false,
		"B\xf6b <ceo@bank.example>":                                 false,
		"=?x?Q?y?= <bob@example.com>, =?x?Q?y?= <ceo@bank.example>": false,
		"\xf6: bob@example.com, \xe9 <ceo@bank.example>;":           false,
		"=?x?Q?y?= <bob@example.com> <ceo@bank.example>":            false,
		"=?x?Q?<bob@example.com>?= <ceo@bank.example>":              false,
		"=?x?Q?bob@example.com?= <ceo@bank.example>":                false,
		"\"\xf6\" <ceo@bank.example> (\" <bob@example.com>)":        false,
		"(bob@example.com) <ceo@bank.example>":                      false,
		`"bob@example.com" <ceo@bank.example>`:                      false,
		`"ceo@bank.example"@shop.example`:                           false,
		"=?x?Q?y?= <bob@example.com":                                false,
		"=?x?Q?y?=":                                                 false,
		"\xf6:;":                                                    false,
		"b\xf6b@shop.example":                                       false, // in no charset
		"\"b\xf6b\"@shop.example":                                   false,
		"bob@\xe9.shop.example":                                     false,
		"\xf6 <any@sh\xf6p.example>":                                false,
		"bob@example.com (\x1b$B((\x1b(B) <ceo@bank.example> ))))":  false, // in ISO-2022-JP the comment ends before the ceo
		"\"\x81\\\" <ceo@bank.example>, \" <bob@example.com>":       false, // in GBK the quotes end before the ceo
		"bob@example.com (\x81\\) <ceo@bank.example> ()":            false,
		"\"\xc3\\\xa9\"@shop.example":                               false,
	} {
		if reply := a.Header(id, []string{from}); (reply == nil) != want {
			t.Errorf("%q: got %v, want %v", from, reply, want)
		}
	}
}
