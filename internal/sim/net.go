package sim

import "time"

// Net is the network between machines. What is sent takes time, and may be
// lost, doubled, overtaken, or cut off in one direction or both.
type Net struct {
	s     *Sim
	delay time.Duration // the least
	swing time.Duration // on top of it, mostly little
	loss  float64       // of a datagram
	twice float64
	lag   float64                              // one in so many is very late
	cut   [][]int                              // how many faults cut the way from one to another
	calm  struct{ delay, swing time.Duration } // without faults
}

func newNet(s *Sim) *Net {
	n := &Net{s: s}
	n.calm.delay = time.Duration(s.Between(20, 2000)) * time.Microsecond
	n.calm.swing = time.Duration(s.Between(50, 5000)) * time.Microsecond
	n.heal()
	return n
}

// heal ends what befell it, but for ways that are cut: each of those ends by itself.
func (n *Net) heal() {
	n.delay, n.swing = n.calm.delay, n.calm.swing
	n.loss, n.twice, n.lag = 0, 0, 0
}

func (n *Net) add() {
	for i := range n.cut {
		n.cut[i] = append(n.cut[i], 0)
	}
	n.cut = append(n.cut, make([]int, len(n.cut)+1))
}

// Open reports whether messages go from one to another.
func (n *Net) Open(from, to *Machine) bool { return from == to || n.cut[from.index][to.index] == 0 }

func (n *Net) block(from, to int, by int) { n.cut[from][to] += by }

// Delay draws how long a message is on its way, for those who are not at a
// machine: clients.
func (n *Net) Delay() time.Duration { return n.takes() }

// takes draws how long a message is on its way.
func (n *Net) takes() time.Duration {
	d := n.delay + n.s.Lasting(0, n.swing)
	if n.s.Chance(n.lag) {
		d += n.s.Lasting(10*time.Millisecond, 3*time.Second)
	}
	return d
}

// Send lets deliver run at to after a while: never, once, or twice where it may
// be. A datagram is what a call and its answer travel in.
func (n *Net) Send(from, to *Machine, deliver func()) {
	if from == to {
		to.After(0, deliver)
		return
	}
	copies := 1
	if n.s.Chance(n.twice) {
		n.s.Reach("a datagram came twice")
		copies = 2
	}
	for range copies {
		if !n.Open(from, to) || n.s.Chance(n.loss) {
			continue
		}
		n.s.After(n.takes(), func() { to.Do(deliver) })
	}
}

// Call sends a question and waits for the answer, which answer hears once; nil,
// if none came in time. The handler may be asked twice.
func (n *Net) Call(from, to *Machine, patience time.Duration, ask func(reply func([]byte)), answer func([]byte)) {
	boot := from.boots
	over := false
	end := func(b []byte) {
		if !over && from.boots == boot {
			over = true
			from.Do(func() { answer(b) })
		}
	}
	n.Send(from, to, func() {
		ask(func(b []byte) { n.Send(to, from, func() { end(b) }) })
	})
	n.s.After(patience, func() { end(nil) })
}

// Conn is one end of a connection: messages arrive in order, or the connection
// ends; and it may end for one side long before the other hears of it.
type Conn struct {
	at   *Machine
	peer *Conn
	n    *Net

	Take   func([]byte) // gets a message
	Closed func()       // hears that the connection is over, once

	over    bool
	queue   [][]byte // on their way here
	pumping bool
	last    time.Duration // when the newest arrives
	heard   time.Duration // when something last came
}

// Dial connects two machines, if the other one answers within a while: accept
// gets its end, and then dialed the near one, or nil.
func (n *Net) Dial(from, to *Machine, accept func(*Conn), dialed func(*Conn)) {
	boot := from.boots
	over := false
	end := func(c *Conn) {
		if over || from.boots != boot {
			return
		}
		over = true
		from.Do(func() { dialed(c) })
	}
	n.s.After(n.takes(), func() {
		if !n.Open(from, to) || !to.up {
			return
		}
		near, far := &Conn{at: from, n: n}, &Conn{at: to, n: n}
		near.peer, far.peer = far, near
		to.Do(func() { far.open(); accept(far) })
		n.s.After(n.takes(), func() {
			if n.Open(to, from) && from.boots == boot && from.up && !over && !near.over {
				near.open()
				end(near)
				return
			}
			far.breaks(n.s.Lasting(100*time.Millisecond, 5*time.Second))
		})
	})
	n.s.After(time.Second, func() { end(nil) })
}

func (c *Conn) open() {
	c.heard = c.n.s.now
	c.at.conns = append(c.at.conns, c)
	c.watch()
}

// deaf is how long an end hears nothing before it gives up: keep-alive.
const deaf = 3 * time.Second

func (c *Conn) watch() {
	c.at.After(deaf/2, func() {
		switch {
		case c.over:
		case c.n.s.now-c.heard > deaf:
			c.n.s.Reach("a half-open connection was given up")
			c.close()
		default:
			c.watch()
		}
	})
}

// Send sends a message, which is kept. Nobody says whether it arrives.
func (c *Conn) Send(b []byte) {
	if c.over {
		return
	}
	far := c.peer
	far.queue = append(far.queue, b)
	far.last = max(far.last, c.n.s.now+c.n.takes())
	far.pump()
}

// pump delivers what is on its way to c, in order.
func (c *Conn) pump() {
	if c.pumping || len(c.queue) == 0 {
		return
	}
	c.pumping = true
	s := c.n.s
	s.After(max(c.last-s.now, 0), func() {
		c.pumping = false
		switch {
		case len(c.queue) == 0:
			return
		case !c.n.Open(c.peer.at, c.at): // sent again until it comes through
			c.last = s.now + s.Lasting(20*time.Millisecond, time.Second)
		case c.over:
			c.queue = nil
			c.peer.breaks(c.n.takes()) // a reset
			return
		default:
			q := c.queue
			c.queue = nil
			c.heard = s.now
			for i, b := range q {
				if c.over {
					break
				}
				q[i] = nil
				c.at.Do(func() { c.Take(b) })
			}
		}
		c.pump()
	})
}

// Close ends the connection here. The other end hears of it, if it can.
func (c *Conn) Close() {
	if c.over {
		return
	}
	c.over = true
	c.forget()
	if c.n.Open(c.at, c.peer.at) {
		c.peer.breaks(c.n.takes())
	}
}

func (c *Conn) close() {
	if c.over {
		return
	}
	c.Close()
	if c.Closed != nil {
		c.at.Do(c.Closed)
	}
}

// breaks ends the connection at c after d, from outside.
func (c *Conn) breaks(d time.Duration) {
	boot := c.at.boots
	c.n.s.After(d, func() {
		if c.at.boots == boot && !c.over && c.at.up {
			c.over = true
			c.forget()
			if c.Closed != nil {
				c.at.Do(c.Closed)
			}
		}
	})
}

// lost is what becomes of a connection whose machine died: the other end is
// told by a reset, or finds out for itself.
func (c *Conn) lost() {
	c.over = true
	if c.n.Open(c.at, c.peer.at) && !c.n.s.Chance(0.3) {
		c.peer.breaks(c.n.takes())
	}
}

func (c *Conn) forget() {
	for i, o := range c.at.conns {
		if o == c {
			c.at.conns = append(c.at.conns[:i], c.at.conns[i+1:]...)
			return
		}
	}
}
