package etcd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
)

// How requests are made again.
const (
	triesMax     = 5 // of a request that was not applied, before the call fails
	backoffFirst = 50 * time.Millisecond
	backoffMost  = time.Second
	redialFirst  = 100 * time.Millisecond
	redialMost   = 2 * time.Second
	pingEvery    = 10 * time.Second // a connection without an answer for this long and pingTimeout is given up; etcd refuses to be asked more often than every 5 s
	pingTimeout  = 3 * time.Second
	answerBytes  = 16 << 20 // of one answer; a list of all keys is below
)

// link is how etcd is reached. It is safe for concurrent use.
type link struct {
	options Options
	logger  *slog.Logger

	mu     sync.Mutex // guards shared; never held over I/O
	shared *clientv3.Client
}

// dial makes a client. It ends with ctx.
func (l *link) dial(ctx context.Context) (*clientv3.Client, error) {
	o := l.options
	client, err := clientv3.New(clientv3.Config{
		Context: ctx, Endpoints: o.Endpoints, TLS: o.TLS, Username: o.Username, Password: string(o.Password),
		DialTimeout: o.DialTimeout, DialKeepAliveTime: pingEvery, DialKeepAliveTimeout: pingTimeout,
		MaxUnaryRetries: 1, Logger: zapLogger(l.logger),
		DialOptions: []grpc.DialOption{
			// By default a member that was away for long is tried again after two minutes.
			grpc.WithConnectParams(grpc.ConnectParams{
				Backoff:           backoff.Config{BaseDelay: redialFirst, Multiplier: 1.6, Jitter: 0.2, MaxDelay: redialMost},
				MinConnectTimeout: o.DialTimeout,
			}),
			grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(answerBytes)),
		},
	})
	if err != nil {
		return nil, fmt.Errorf("connecting to etcd (%s): %w", strings.Join(o.Endpoints, ", "), err)
	}
	return client, nil
}

// share lends client to all calls, until it is nil again.
func (l *link) share(client *clientv3.Client) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.shared = client
}

// ask makes one request, with the client of Run or, before and after it, with one
// of its own. Nothing below makes it again, so that its answer is the only one.
func (l *link) ask(ctx context.Context, f func(context.Context, *clientv3.Client) error) error {
	l.mu.Lock()
	client := l.shared
	l.mu.Unlock()
	ctx, cancel := context.WithTimeoutCause(ctx, l.options.RequestTimeout, errNoAnswer)
	defer cancel()
	if client == nil {
		own, err := l.dial(ctx)
		if err != nil {
			return err
		}
		defer func() { _ = own.Close() }() // it says that its context has ended, and nothing else
		client = own
	}
	err := f(ctx, client)
	if err != nil && errors.Is(context.Cause(ctx), errNoAnswer) {
		return fmt.Errorf("%w: %w", errNoAnswer, err)
	}
	return err
}

// errNoAnswer is of a request that took longer than RequestTimeout. It does not
// leave this package: callers see ErrUnavailable.
var errNoAnswer = errors.New("no answer in time")

// kv returns client's KV, which fails at once where no member can be reached and
// says why, instead of waiting for one until its time is over.
func kv(client *clientv3.Client) clientv3.KV {
	return clientv3.NewKVFromKVClient(clientv3.RetryKVClient(client), nil)
}

// pause waits before the next try, the longer the more there were. It returns
// early when ctx ends.
func pause(ctx context.Context, tries int) {
	d := backoffMost
	if tries < 5 {
		d = min(d, backoffFirst<<tries)
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
