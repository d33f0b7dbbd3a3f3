package admin

// Complained is how many destinations' errors are remembered.
func (s *Events) Complained() int {
	s.complaints.mu.Lock()
	defer s.complaints.mu.Unlock()
	return len(s.complaints.all)
}
