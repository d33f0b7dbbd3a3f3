package inbound

import (
	"errors"
	"fmt"

	"postrider/inbound/auth"
)

// Change is what other options make of a running Server. What can fail has been done: sockets
// are bound, certificates and users are read. It ends with Commit or Discard.
type Change struct {
	s       *Server
	options Options
	users   *auth.Authority
	// kept are the doors that stay, with their new manners; opened are those that came.
	kept   map[*door]*manners
	opened []*door
	// undo takes back who may connect to the sockets that stay.
	undo []func() error
}

// Prepare makes the Change to other Listeners, Users and Limits; the rest of the options stays.
// A listener whose address is configured as before keeps its socket. Who may connect to a Unix
// socket changes with Prepare, as the last of what can fail. The error has every fault, and nothing
// has changed then.
func (s *Server) Prepare(o Options) (*Change, error) {
	next := s.options
	next.Listeners, next.Users, next.Limits = o.Listeners, o.Users, o.Limits
	if err := next.Validate(); err != nil {
		return nil, fmt.Errorf("inbound: %w", err)
	}
	c := &Change{s: s, options: next.withDefaults(), kept: make(map[*door]*manners)}
	err := c.openUsers()
	if err == nil {
		err = c.openDoors()
	}
	if err == nil {
		err = c.setAccess()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("inbound: %w", err), c.Discard())
	}
	return c, nil
}

// openUsers makes those of the options, with what is known of attempts that failed.
func (c *Change) openUsers() (err error) {
	if c.users, err = c.s.newUsers(c.options); c.users != nil && err == nil {
		c.users.Inherit(c.s.users.Load())
	}
	return err
}

// openDoors finds the door of each listener, or opens one.
func (c *Change) openDoors() error {
	var faults []error
	for _, l := range c.options.Listeners {
		d := c.former(l)
		if d == nil {
			opened, err := newDoor(c.s, l, c.options.Limits)
			if err == nil {
				c.opened = append(c.opened, opened)
			}
			faults = append(faults, err)
			continue
		}
		m, err := c.s.newManners(l, c.options.Limits)
		c.kept[d] = m
		faults = append(faults, err)
	}
	return errors.Join(faults...)
}

// setAccess lets in who may connect from now on to the Unix sockets that stay. One that is to be as it
// was configured before is let alone, whatever an operator has done to it.
func (c *Change) setAccess() error {
	for d, m := range c.kept {
		if d.file == nil || d.manners.Load().options.Socket == m.options.Socket {
			continue
		}
		to, err := d.file.access(m.options.Socket)
		var was access
		if err == nil {
			was, err = d.file.set(to)
		}
		if err != nil {
			return fmt.Errorf("listener %q at %s: %w", m.options.Name, m.options.Address, err)
		}
		c.undo = append(c.undo, func() error { _, err := d.file.set(was); return err })
	}
	return nil
}

// former is the door that a listener has already: the one of its address, of its name if there
// are several, as with port 0.
func (c *Change) former(l Listener) (found *door) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	for _, d := range c.s.doors {
		was := d.manners.Load().options
		_, taken := c.kept[d]
		if taken || was.Address != l.Address {
			continue
		}
		if was.Name == l.Name {
			return d
		}
		if !c.wants(was) {
			found = d
		}
	}
	return found
}

// wants says whether a listener is among those to be, unchanged in name and address.
func (c *Change) wants(l Listener) bool {
	for _, o := range c.options.Listeners {
		if o.Name == l.Name && o.Address == l.Address {
			return true
		}
	}
	return false
}

// Commit takes the Change up. Sessions go on in the manners in which they began; new ones, and
// whoever authenticates from now on, meet the new ones. Sessions of a listener that is gone, or
// has another name, which rules know it by, end before their next message. Meanwhile is
// called once these can begin none, and before new listeners take anybody in.
func (c *Change) Commit(meanwhile func()) {
	s := c.s
	s.mu.Lock()
	gone := c.divide()
	for _, d := range gone {
		_ = d.Close() // it is closed as far as it can be
	}
	s.roster.drainOthers(c.names())
	meanwhile()
	s.roster.limit(c.options.Limits)
	for d, m := range c.kept {
		d.manners.Store(m)
	}
	if s.serving {
		for _, d := range c.opened {
			s.serve(d)
		}
	}
	var former *auth.Authority
	if c.users != nil { // else sessions of before may still ask for those of before
		former = s.users.Swap(c.users)
	}
	s.mu.Unlock()
	if former != nil {
		_ = former.Close() // of idle connections, which nobody misses
	}
}

// divide puts the doors to be into the server and returns those that go.
func (c *Change) divide() (gone []*door) {
	var doors []*door
	for _, d := range c.s.doors {
		if c.kept[d] != nil {
			doors = append(doors, d)
		} else {
			gone = append(gone, d)
		}
	}
	c.s.doors = append(doors, c.opened...)
	return gone
}

// names are those of the doors to be.
func (c *Change) names() map[*door]string {
	names := make(map[*door]string)
	for d, m := range c.kept {
		names[d] = m.options.Name
	}
	return names
}

// Discard gives the Change up: all is as it was.
func (c *Change) Discard() error {
	var faults []error
	for _, undo := range c.undo {
		faults = append(faults, undo())
	}
	for _, d := range c.opened {
		faults = append(faults, d.Close())
	}
	if c.users != nil {
		faults = append(faults, c.users.Close())
	}
	return errors.Join(faults...)
}
