package main

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/doorstep-id/doorstep/storage"
)

// agree DATABASE PERSON CLIENT SCOPE... has a person agree to these scopes for a
// client, which gets a grant, as the pages do.
func agree(ts *testscript.TestScript, _ bool, args []string) {
	ctx := context.Background()
	store, err := storage.Open(ctx, "sqlite://"+filepath.ToSlash(ts.MkAbs(args[0])))
	ts.Check(err)
	person, client, scopes := storage.ID(args[1]), args[2], storage.Strings(args[3:])
	now := storage.At(time.Date(2026, time.March, 3, 12, 0, 0, 0, time.UTC))
	err = errors.Join(
		store.SetConsent(ctx, &storage.Consent{PersonID: person, ClientID: client, Scopes: scopes, CreatedAt: now, UpdatedAt: now}),
		store.CreateGrant(ctx, &storage.Grant{
			ID: storage.NewID(), PersonID: person, ClientID: client, Sub: "p_" + strings.ToLower(client), Scopes: scopes, Offline: true,
			CreatedAt: now, ExpiresAt: storage.At(time.Now().Add(time.Hour)),
		}),
	)
	ts.Check(errors.Join(err, store.Close()))
}
