package admin_test

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"postrider/relay"
	"postrider/relay/admin"
)

// fill sets every exported field that a record must carry to something that is not zero.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int8, reflect.Int64:
		v.SetInt(int64(time.Millisecond))
		if v.Kind() == reflect.Int8 {
			v.SetInt(7)
		}
	case reflect.Uint8, reflect.Uint32:
		v.SetUint(1)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0))
	case reflect.Array:
		for i := range v.Len() {
			fill(v.Index(i))
		}
	case reflect.Struct:
		switch v.Type() {
		case reflect.TypeFor[time.Time]():
			v.Set(reflect.ValueOf(time.Unix(1_700_000_000, 5000).UTC()))
			return
		case reflect.TypeFor[netip.Addr]():
			v.Set(reflect.ValueOf(netip.MustParseAddr("2001:db8::1")))
			return
		case reflect.TypeFor[relay.Address]():
			v.Set(reflect.ValueOf(relay.Address{Local: `odd "one`, Domain: "example.com"}))
			return
		}
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				fill(v.Field(i))
			}
		}
	}
}

// Everything that a message and its deliveries are kept with survives the way through a record:
// a field that is added and forgotten here is found.
func TestRecord(t *testing.T) {
	t.Parallel()
	var m relay.Message
	var d relay.Delivery
	fill(reflect.ValueOf(&m).Elem())
	fill(reflect.ValueOf(&d).Elem())
	m.Header, m.Size, m.SignWith, m.Verified, m.Place = []byte("x"), 1, nil, relay.Verified{}, nil // for the way in only, or bytes
	d.Message, d.Claimed, d.Last.Err, d.Last.Reason = m.ID, false, nil, ""
	text, err := json.Marshal(admin.NewRecord(&m, []relay.Delivery{d}))
	if err != nil {
		t.Fatal(err)
	}
	r, err := admin.ParseRecord(text)
	if err != nil {
		t.Fatal(err)
	}
	got, ds, err := r.Message()
	if err != nil {
		t.Fatal(err)
	}
	got.Header = m.Header
	if !reflect.DeepEqual(got, &m) {
		t.Errorf("message\n%+v, want\n%+v", got, &m)
	}
	if len(ds) != 1 || !reflect.DeepEqual(ds[0], d) {
		t.Errorf("deliveries\n%+v, want\n%+v", ds, d)
	}
}

func TestParseRecordRefuses(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"not JSON": "x", "another version": `{"version":2}`, "a field that is not known": `{"version":1,"color":"red"}`,
	} {
		if r, err := admin.ParseRecord([]byte(text)); err == nil {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

func FuzzRecord(f *testing.F) {
	f.Add(`{"version":1,"id":"01K9ZJ6V3S6C0X6M4E5T1B2N3P","size":9,"header_size":4,"envelope":{"sender":"","recipients":[{"address":"a@b.example"}]},"deliveries":[{"part":0,"destination":"r/b.example","recipients":[0],"last":{"code":451,"enhanced":[4,4,1],"class":"host"}}]}`)
	f.Add(`{"version":1}`)
	f.Fuzz(func(t *testing.T, text string) {
		r, err := admin.ParseRecord([]byte(text))
		if err != nil {
			return
		}
		m, ds, err := r.Message()
		if err != nil {
			return
		}
		m.Header = []byte(strings.Repeat("x", int(min(r.HeaderSize, 1000))))
		if m.Size < r.HeaderSize || len(m.Envelope.Recipients) == 0 {
			t.Errorf("%+v is no message", m)
		}
		again := admin.NewRecord(m, ds)
		if again.ID != strings.ToUpper(r.ID) || len(again.Deliveries) != len(r.Deliveries) {
			t.Errorf("%+v comes back as %+v", r, again)
		}
	})
}
