package inbound

import "postrider/relay"

// transcribe begins a transcript of the session, where somebody wants to read it. Who the client is
// may turn out only when the session has begun.
func (s *session) transcribe() {
	if s.transcript == nil && s.server.options.Transcripts != nil && !s.proxied {
		s.transcript = s.server.options.Transcripts.Transcribe(relay.Talk{Listener: s.listener.Name, Client: s.origin.Client})
	}
}

// heard takes down a line of the client, which in an exchange of AUTH is secret.
func (s *session) heard(line []byte) {
	switch {
	case s.transcript == nil:
	case s.exchange:
		s.transcript.Secret(relay.Them, string(line))
	default:
		s.transcript.Command(relay.Them, string(line))
	}
}

// measure adds to the length of the message that is being received.
func (w *wire) measure(p []byte) {
	if w.transcript != nil {
		// It cannot fail.
		_, _ = w.length.Write(p)
	}
}

// measured takes down the length of a message that has been received.
func (w *wire) measured() {
	if w.transcript != nil {
		w.transcript.Content(relay.Them, w.length)
		w.length = relay.Length{}
	}
}
