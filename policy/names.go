package policy

import (
	"reflect"
	"strings"
)

// names is a set of what a condition names, as far as it is filled in together.
type names uint16

// The names, or groups of names.
const (
	nameClient names = 1 << iota
	nameClientName
	nameSession
	nameSender
	nameRecipient
	nameRecipients
	nameMessage
	nameSubject
	nameTags
	nameTime
	nameQueue
)

// namesOf gives the group of a name such as "sender.domain".
func namesOf(name string) names {
	root, _, _ := strings.Cut(name, ".")
	switch root {
	case "client":
		if name == "client.name" {
			return nameClientName
		}
		// A client as a whole has its name too.
		if name == "client" {
			return nameClient
		}
		return nameClient
	case "listener", "user", "tls":
		return nameSession
	case "sender":
		return nameSender
	case "recipient":
		return nameRecipient
	case "recipients":
		return nameRecipients
	case "subject":
		return nameSubject
	case "size", "header", "spf", "dkim", "dmarc":
		return nameMessage
	case "tags":
		return nameTags
	case "time":
		return nameTime
	case "queue":
		return nameQueue
	}
	return 0
}

// fieldsOf gives the fields of a name that has some, such as tls.
func fieldsOf(name string) (fields []string) {
	for f := range reflect.TypeFor[environment]().Fields() {
		if f.Tag.Get("expr") != name || f.Type.Kind() != reflect.Struct {
			continue
		}
		for part := range f.Type.Fields() {
			fields = append(fields, part.Tag.Get("expr"))
		}
	}
	return fields
}
