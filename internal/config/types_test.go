package config

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestDurations(t *testing.T) {
	for text, want := range map[string]struct {
		d     time.Duration
		again string
	}{
		"0":      {0, "0s"},
		"5m":     {5 * time.Minute, "5m"},
		"1h":     {time.Hour, "1h"},
		"1h30m":  {90 * time.Minute, "1h30m"},
		"90s":    {90 * time.Second, "1m30s"},
		"1.5s":   {1500 * time.Millisecond, "1.5s"},
		"500us":  {500 * time.Microsecond, "500µs"},
		"100m0s": {100 * time.Minute, "1h40m"},
		"20m":    {20 * time.Minute, "20m"},
		"10h":    {10 * time.Hour, "10h"},
	} {
		var d Duration
		require.NoError(t, d.UnmarshalText([]byte(text)), text)
		require.Equal(t, want.d, time.Duration(d), text)
		require.Equal(t, want.again, d.String(), text)
		var again Duration
		require.NoError(t, again.UnmarshalText([]byte(d.String())))
		require.Equal(t, d, again)
	}
	for text, want := range map[string]string{
		"5":         "has no unit; write 5s, 5ms or 5m",
		"1.5":       "has no unit",
		"-1s":       "is negative",
		"5 s":       "a duration is wanted here",
		"":          "a duration is wanted here",
		"1d":        "a duration is wanted here",
		"99999999h": "a duration is wanted here",
	} {
		require.ErrorContains(t, new(Duration).UnmarshalText([]byte(text)), want, text)
	}
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]struct {
		n     int64
		again string
	}{
		"0":       {0, "0"},
		"512":     {512, "512"},
		"512B":    {512, "512"},
		"1KiB":    {1 << 10, "1KiB"},
		"1024":    {1 << 10, "1KiB"},
		"64 MiB":  {64 << 20, "64MiB"},
		"1536KiB": {1536 << 10, "1536KiB"},
		"2GiB":    {2 << 30, "2GiB"},
		"1TiB":    {1 << 40, "1TiB"},
	} {
		var s Size
		require.NoError(t, s.UnmarshalText([]byte(text)), text)
		require.Equal(t, want.n, int64(s), text)
		require.Equal(t, want.again, s.String(), text)
	}
	for text, want := range map[string]string{
		"8MB": "a size is wanted here", "MiB": "a size is wanted here", "B": "a size is wanted here", "": "a size is wanted here",
		"1.5GiB": "a size is wanted here", "-1KiB": "is negative", "1025TiB": "is more than 1024TiB", "9223372036854775807TiB": "is more than",
	} {
		require.ErrorContains(t, new(Size).UnmarshalText([]byte(text)), want, text)
	}
}

func TestWords(t *testing.T) {
	var d Durability
	require.NoError(t, d.UnmarshalText([]byte("applied")))
	require.ErrorContains(t, d.UnmarshalText([]byte("default")), "none of received, flushed, applied")
	var r Role
	require.NoError(t, r.UnmarshalText([]byte("delayed")))
	require.False(t, r.votes())
	require.ErrorContains(t, r.UnmarshalText([]byte("read_replica")), "did you mean read-replica?")
	require.ErrorContains(t, r.UnmarshalText([]byte("primary")), `"primary" is none of`)
}
