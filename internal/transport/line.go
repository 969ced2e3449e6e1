package transport

import (
	"errors"
	"os"
	"time"
)

// writeStepBytes is what must get through within one write time-out.
const writeStepBytes = 256 << 10

// line is a control connection at either end: a link with an outbox and the
// goroutine that writes it.
type line struct {
	*link
	out    *outbox
	limits *Limits
	notes  *journal
}

func newLine(l *link, limits *Limits, notes *journal) *line {
	return &line{link: l, out: newOutbox(limits.QueueBytesMax), limits: limits, notes: notes}
}

// write writes what is put in the outbox, and a beat where nothing was, until
// the link ends.
func (l *line) write() {
	beat := time.NewTicker(l.limits.beat())
	defer beat.Stop()
	quiet, beating := true, false
	for {
		select {
		case <-l.out.wake:
			quiet = beating // a beat is no reason to leave out the next
			beating = false
		case <-beat.C:
			if beating = quiet; beating {
				l.out.putFrame(beatFrame)
			}
			quiet = true
			continue
		case <-l.done:
			return
		}
		for b := l.out.take(); b != nil; b = l.out.take() {
			if err := l.writeAll(b); err != nil {
				l.breakOff(err)
				return
			}
			l.out.done(b)
		}
	}
}

// breakOff takes nothing more to write after a write failed. The other side's
// last answers may still wait to be read, so the reader ends the link, unless
// the other side takes nothing any more.
func (l *line) breakOff(err error) {
	l.out.close()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		l.end(writeFault(err))
	}
}

func (l *line) writeAll(b []byte) error {
	for len(b) > 0 {
		step := b[:min(len(b), writeStepBytes)]
		if err := l.conn.SetWriteDeadline(time.Now().Add(l.limits.WriteTimeout)); err != nil {
			return err
		}
		if _, err := l.conn.Write(step); err != nil {
			return err
		}
		b = b[len(step):]
	}
	return nil
}

// read reads frames and hands those that are not about the line itself to
// take, until the link ends or take fails, and ends the link.
func (l *line) read(take func(frame) error) {
	for {
		f, err := l.in.next()
		if err == nil {
			err = l.dispatch(f, take)
		}
		if err != nil {
			l.end(err)
			return
		}
	}
}

func (l *line) dispatch(f frame, take func(frame) error) error {
	switch {
	case f.kind >= kindLimit || f.kind == 0: // optional, or it would not have come so far
		l.notes.counts.ignored.Add(1)
		l.out.put(&letter{kind: kindIgnored, body: []byte{byte(f.kind)}})
	case f.kind == kindBeat:
	case f.kind == kindPing:
		l.out.putFrame(pongFrame)
	case f.kind == kindPong:
		l.pulse.felt()
	case f.kind == kindIgnored:
		l.notes.counts.ignoredByPeer.Add(1)
	case f.kind == kindRefuse:
		return readRefusal(f.payload)
	default:
		return take(f)
	}
	return nil
}

// alive asks the other side whether it lives, and waits for its answer, or
// until that is of no interest any more. Whatever else is heard of it meanwhile
// is an answer too: the question may wait behind much that is to be written.
func (l *line) alive(timeout time.Duration, enough <-chan struct{}) bool {
	pong, from := l.pulse.next(), time.Now().UnixNano()
	l.out.putFrame(pingFrame)
	t := time.NewTimer(timeout)
	defer t.Stop()
	select {
	case <-pong:
		return true
	case <-enough:
		return false
	case <-l.done:
		return false
	case <-t.C:
		return l.from.heard.Load() > from
	}
}

// run starts the writer and reads until the link ends.
func (l *line) run(take func(frame) error) {
	written := make(chan struct{})
	go func() {
		defer close(written)
		l.write()
	}()
	l.read(take)
	<-written
	l.in.release()
}
