package main

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/doorstep-id/doorstep/policy"
	"github.com/doorstep-id/doorstep/storage"
)

// visit DATABASE PERSON CLIENT... signs a person in, as by their password, and has
// something issued to each client.
func visit(ts *testscript.TestScript, _ bool, args []string) {
	ctx := context.Background()
	store, err := storage.Open(ctx, "sqlite://"+filepath.ToSlash(ts.MkAbs(args[0])))
	ts.Check(err)
	now := time.Now()
	evidence, err := policy.EncodeStanding(policy.Standing{Evidence: []policy.Evidence{{Method: policy.Password, At: now}}})
	ts.Check(err)
	se := &storage.Session{
		ID: storage.NewID(), PersonID: storage.ID(args[1]), Evidence: storage.Document(evidence),
		CreatedAt: storage.At(now), SeenAt: storage.At(now), ExpiresAt: storage.At(now.Add(time.Hour)),
	}
	se.SecretHash = []byte(se.ID)
	err = store.CreateSession(ctx, se)
	for _, client := range args[2:] {
		err = errors.Join(err, store.KeepSessionClient(ctx, &storage.SessionClient{
			SessionID: se.ID, ClientID: client, Sub: "p_1", Sid: "s", CreatedAt: storage.At(now),
		}))
	}
	ts.Check(errors.Join(err, store.Close()))
}
