package client

import (
	"slices"
	"sync"
)

// addresses are those that a client asks, the one to ask first at the front.
type addresses struct {
	given []string // to Dial

	mu  sync.Mutex // guards all; a leaf
	all []string   // those given, and at most namedMax that only nodes named
}

// first returns the address to ask.
func (l *addresses) first() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all[0]
}

// several reports whether there is more than one.
func (l *addresses) several() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.all) > 1
}

// prefer makes addr the one to ask. Beside the addresses that were given, those
// of the last leaders that were named are kept, namedMax of them.
func (l *addresses) prefer(addr string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	named := 0
	if !slices.Contains(l.given, addr) {
		named = 1
	}
	l.all = slices.DeleteFunc(l.all, func(a string) bool {
		if a == addr {
			return true
		}
		if slices.Contains(l.given, a) {
			return false
		}
		named++
		return named > namedMax
	})
	l.all = slices.Insert(l.all, 0, addr)
}

// pass puts addr behind the others.
func (l *addresses) pass(addr string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all[0] == addr {
		l.all = append(l.all[1:], addr)
	}
}

// learn puts addresses behind those that are known, where there is room.
func (l *addresses) learn(addrs []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range addrs {
		if len(l.all) < len(l.given)+namedMax && !slices.Contains(l.all, a) {
			l.all = append(l.all, a)
		}
	}
}
