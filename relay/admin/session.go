package admin

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"net/http"
	"sync"
	"time"
)

// Session says how the one who asks is known, for the dashboard.
type Session struct {
	// Name is the token's.
	Name string `json:"name,omitempty"`
	// SignIn says that a token is needed to see anything.
	SignIn bool `json:"sign_in"`
	// Changes says that changes are allowed.
	Changes bool `json:"changes"`
	// Tokens says that there are tokens to sign in with.
	Tokens bool `json:"tokens"`
}

// SignIn asks for a session.
type SignIn struct {
	Token string `json:"token"`
}

// What is kept of sessions, and for how long: a forgotten browser is signed out by itself.
const (
	sessionCookie = "postrider_session"
	sessionTime   = 12 * time.Hour
	sessionIdle   = 2 * time.Hour
	sessionsMost  = 1000
)

// changeHeader must come with changes that a cookie vouches for. No form and no page from
// elsewhere can send it.
const changeHeader = "X-Postrider"

// sessions knows the browsers that have shown a token. What is kept is the hash of what the
// cookie has. They end with the process.
type sessions struct {
	now func() time.Time

	mu  sync.Mutex
	all map[[sha256.Size]byte]*session
}

type session struct {
	token       Token
	began, used time.Time
}

func newSessions(now func() time.Time) *sessions {
	return &sessions{now: now, all: make(map[[sha256.Size]byte]*session)}
}

// begin makes a session and gives what the cookie is to have.
func (s *sessions) begin(t Token) string {
	secret := rand.Text()
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire(now)
	s.all[sha256.Sum256([]byte(secret))] = &session{token: t, began: now, used: now}
	return secret
}

// expire ends what is over, and the session least used where there are too many.
func (s *sessions) expire(now time.Time) {
	var least [sha256.Size]byte
	for k, v := range s.all {
		if v.over(now) {
			delete(s.all, k)
		} else if l := s.all[least]; l == nil || v.used.Before(l.used) {
			least = k
		}
	}
	if len(s.all) >= sessionsMost {
		delete(s.all, least)
	}
}

func (v *session) over(now time.Time) bool {
	return now.Sub(v.began) >= sessionTime || now.Sub(v.used) >= sessionIdle
}

// find gives the token of the session that the request's cookie names. A change needs
// changeHeader as well.
func (s *sessions) find(r *http.Request) (Token, bool) {
	cookie, err := r.Cookie(sessionCookie)
	if err != nil || r.Method != http.MethodGet && r.Header.Get(changeHeader) == "" {
		return Token{}, false
	}
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.all[sha256.Sum256([]byte(cookie.Value))]
	if v == nil || v.over(now) {
		return Token{}, false
	}
	v.used = now
	return v.token, true
}

func (s *sessions) end(r *http.Request) {
	cookie, err := r.Cookie(sessionCookie)
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, sha256.Sum256([]byte(cookie.Value)))
}

// session says how the one who asks is known.
func (s *Server) session(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	_, _, denied := s.guard.admit(r, toReaders)
	c, _, unchanging := s.guard.admit(r, toOperators)
	answer(w, Session{Name: c.name, SignIn: denied != nil, Changes: unchanging == nil, Tokens: len(s.guard.tokens) > 0})
}

// errPage refuses a sign-in that a page from elsewhere may have sent.
var errPage = errors.New("the request does not come from the dashboard")

// ours says whether a request that changes the session comes from our page.
func (s *Server) ours(r *http.Request) bool {
	return s.guard.origin.Check(r) == nil && r.Header.Get(changeHeader) != ""
}

// signIn takes a token and gives a cookie that scripts cannot read and other sites do not
// cause to be sent.
func (s *Server) signIn(w http.ResponseWriter, r *http.Request) {
	var v SignIn
	if !s.ours(r) {
		refuse(w, http.StatusForbidden, errPage)
		return
	}
	if err := read(w, r, &v); err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	token, ok := s.guard.match(v.Token)
	if !ok {
		refuse(w, http.StatusUnauthorized, errors.New("no such token"))
		return
	}
	s.guard.sessions.end(r)
	setSession(w, r, s.guard.sessions.begin(token), int(sessionTime.Seconds()))
	answer(w, Session{Name: token.Name, Changes: !token.ReadOnly, Tokens: true})
}

func (s *Server) signOut(w http.ResponseWriter, r *http.Request) {
	if !s.ours(r) {
		refuse(w, http.StatusForbidden, errPage)
		return
	}
	s.guard.sessions.end(r)
	setSession(w, r, "", -1)
	answer(w, Session{SignIn: true, Tokens: len(s.guard.tokens) > 0})
}

func setSession(w http.ResponseWriter, r *http.Request, value string, age int) {
	w.Header().Set("Cache-Control", "no-store")
	http.SetCookie(w, &http.Cookie{
		Name: sessionCookie, Value: value, Path: "/", MaxAge: age,
		HttpOnly: true, Secure: r.TLS != nil, SameSite: http.SameSiteStrictMode,
	})
}
