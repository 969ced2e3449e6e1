package main

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/triad-kv/triad"
	"github.com/triad-kv/triad/topology"
)

// handler answers POST /transfers, PUT and GET /accounts/NAME. An answer has a
// Token; a request that gives it back as After sees at least as much, at any node.
func (l ledger) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /transfers", func(w http.ResponseWriter, r *http.Request) {
		var t Transfer
		err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&t)
		var receipt triad.Receipt
		if err == nil {
			receipt, err = l.transfer(r.Context(), t)
		}
		answer(w, receipt.Token, t, err)
	})
	mux.HandleFunc("PUT /accounts/{name}", func(w http.ResponseWriter, r *http.Request) {
		var a Account
		err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&a)
		var receipt triad.Receipt
		if err == nil {
			receipt, err = l.accounts.Put(r.Context(), r.PathValue("name"), a, triad.IfAbsent())
		}
		answer(w, receipt.Token, a, err)
	})
	mux.HandleFunc("GET /accounts/{name}", func(w http.ResponseWriter, r *http.Request) {
		after, err := topology.ParseToken(r.Header.Get("After"))
		opts := []triad.Option{triad.After(after)}
		if err != nil {
			opts = nil // no session: as new as can be
		}
		a, reading, err := l.accounts.Read(r.Context(), r.PathValue("name"), opts...)
		answer(w, reading.Token, a, err)
	})
	return mux
}

func answer(w http.ResponseWriter, token topology.Token, v any, err error) {
	if err != nil {
		http.Error(w, err.Error(), status(err))
		return
	}
	w.Header().Set("Token", token.String())
	_ = json.NewEncoder(w).Encode(v) // nobody is left to hear of it
}

// status is how HTTP calls an error. 503 is to be sent again, with the same id.
func status(err error) int {
	var e *topology.Error
	switch {
	case errors.Is(err, topology.ErrNotFound):
		return http.StatusNotFound
	case errors.Is(err, topology.ErrConflict), errors.Is(err, topology.ErrConditionFailed):
		return http.StatusConflict
	case errors.As(err, &e) && !errors.Is(err, topology.ErrMalformed):
		return http.StatusServiceUnavailable
	}
	return http.StatusBadRequest
}
