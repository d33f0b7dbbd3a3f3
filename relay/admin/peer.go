package admin

import (
	"context"
	"net"
	"net/http"
	"os/user"
	"strconv"
	"syscall"
)

// peerKey is the key of the peer's user number in the context of a request over the socket.
type peerKey struct{}

// withPeer notes who is at the other end of the socket, as the kernel tells: what a client says of
// itself is not asked for that.
func withPeer(ctx context.Context, conn net.Conn) context.Context {
	socket, ok := conn.(*net.UnixConn)
	if !ok {
		return ctx
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return ctx
	}
	var who *syscall.Ucred
	control := raw.Control(func(fd uintptr) {
		who, err = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	})
	if control != nil || err != nil {
		return ctx
	}
	return context.WithValue(ctx, peerKey{}, who.Uid)
}

// userName is the name of a user of this host, or else his number.
func userName(uid uint32) string {
	id := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(id); err == nil && u.Username != "" {
		return u.Username
	}
	return "uid " + id
}

// peerOf is who is at the other end of the socket; "" where that is not known.
func peerOf(r *http.Request) string {
	uid, known := r.Context().Value(peerKey{}).(uint32)
	if !known {
		return ""
	}
	return userName(uid)
}
