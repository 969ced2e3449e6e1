package transport

import (
	"sync"
	"time"

	"github.com/triad-kv/triad/topology"
)

// claims tells which process speaks for each node, by the connections there are
// to it, in either direction. Who comes while another process holds the claim
// is refused as long as that one answers (C1, B35). It is safe for concurrent
// use, and its lock is a leaf.
type claims struct {
	mu      sync.Mutex
	holders map[topology.NodeID]*holder
}

// holder is one process: a data directory's life, and one run of it.
type holder struct {
	life, instance uint64
	links          map[*link]*line // a line for control connections, nil for streams
}

// claimTries is how often a claim is looked at again because it changed meanwhile.
const claimTries = 4

// admit adds a link of a node to the claim of its process, or refuses it. ln is
// its line, if it is a control connection.
func (g *greeter) admit(l *link, ln *line) *Refusal {
	if l.peer.Role != topology.PeerNode {
		return nil
	}
	for range claimTries {
		h, refusal := g.claims.add(l, ln, g.limits.StreamsPerPeerMax)
		if h == nil {
			return refusal
		}
		if h.alive(g.limits, &g.claims) {
			return refusef(RefusedDuplicate, "node %s is connected with life %x and lives: this one has life %x, and runs on another directory or twice", l.peer.ID, h.life, l.peer.Life)
		}
		for _, dead := range g.claims.evict(l.peer.ID, h) {
			dead.end(faultf(FaultSilence, "it did not answer while another process came for node %s", l.peer.ID))
		}
	}
	return refusef(RefusedDuplicate, "several processes claim to be node %s", l.peer.ID)
}

// add adds l if its process holds the claim or nobody does; else it returns who
// does. A process that has too many streams open is refused one more.
func (c *claims) add(l *link, ln *line, streamsMax int) (*holder, *Refusal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.holders == nil {
		c.holders = map[topology.NodeID]*holder{}
	}
	h := c.holders[l.peer.ID]
	if h == nil {
		h = &holder{life: l.peer.Life, instance: l.instance, links: map[*link]*line{}}
		c.holders[l.peer.ID] = h
	}
	switch {
	case h.life != l.peer.Life || h.instance != l.instance:
		return h, nil
	case l.accepted && l.class == classStream && h.streams() >= streamsMax:
		return nil, refusef(RefusedOverloaded, "node %s has %d streams open already", l.peer.ID, streamsMax)
	}
	h.links[l] = ln
	return nil, nil
}

// streams counts the streams that the process opened to us. The lock is held.
func (h *holder) streams() int {
	n := 0
	for l := range h.links {
		if l.accepted && l.class == classStream {
			n++
		}
	}
	return n
}

// remove forgets a link, and the claim with its last one.
func (c *claims) remove(l *link) {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := c.holders[l.peer.ID]
	if h == nil {
		return
	}
	delete(h.links, l)
	if len(h.links) == 0 {
		delete(c.holders, l.peer.ID)
	}
}

// evict takes the claim from h, if it still holds it, and returns its links.
func (c *claims) evict(id topology.NodeID, h *holder) []*link {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.holders[id] != h {
		return nil
	}
	delete(c.holders, id)
	var links []*link
	for l := range h.links {
		links = append(links, l)
	}
	return links
}

// split returns the lines of h, and its streams.
func (c *claims) split(h *holder) (lines []*line, streams []*link) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for l, ln := range h.links {
		if ln != nil {
			lines = append(lines, ln)
		} else {
			streams = append(streams, l)
		}
	}
	return lines, streams
}

// nodes counts the nodes that are connected.
func (c *claims) nodes() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.holders)
}

// alive asks the holder's control lines, all at once. One that has none, which
// is only so while they are being dialled again, lives if its streams were
// heard of within the read time-out.
func (h *holder) alive(limits Limits, c *claims) bool {
	lines, streams := c.split(h)
	if len(lines) == 0 {
		now := time.Now()
		for _, s := range streams {
			if !s.ended() && s.silent(now) < limits.ReadTimeout {
				return true
			}
		}
		return false
	}
	answers, enough := make(chan bool, len(lines)), make(chan struct{})
	for _, ln := range lines {
		go func() { answers <- ln.alive(limits.ProbeTimeout, enough) }()
	}
	lives := false
	for range lines { // all of them: nobody else waits for these goroutines
		if <-answers && !lives {
			lives = true
			close(enough)
		}
	}
	return lives
}
