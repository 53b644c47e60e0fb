package main

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/doorstep-id/doorstep/provider/ident"
	"github.com/doorstep-id/doorstep/storage"
)

// passkey DATABASE EMAIL RPID gives a person a passkey that was made for this domain.
func passkey(ts *testscript.TestScript, _ bool, args []string) {
	ctx := context.Background()
	store, err := storage.Open(ctx, "sqlite://"+filepath.ToSlash(ts.MkAbs(args[0])))
	ts.Check(err)
	person, _, err := store.PersonIdentified(ctx, ident.KindEmail, args[1])
	ts.Check(err)
	err = store.CreatePasskey(ctx, &storage.Passkey{
		ID: storage.NewID(), PersonID: person.ID, CredentialID: []byte("1"), PublicKey: []byte("1"), RPID: args[2], Name: "Old key", CreatedAt: storage.At(time.Now()),
	}, 1)
	ts.Check(errors.Join(err, store.Close()))
}
