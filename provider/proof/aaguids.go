package proof

import (
	_ "embed"
	"encoding/json"
	"sync"

	"github.com/doorstep-id/doorstep/storage"
)

//go:generate go run aaguids_generate.go

//go:embed aaguids.json
var aaguids []byte

// models are the names of models of authenticators, by AAGUID; read when first asked.
var models = sync.OnceValue(func() map[string]string {
	names := map[string]string{}
	if err := json.Unmarshal(aaguids, &names); err != nil {
		panic("proof: aaguids.json: " + err.Error()) // a fault of our own file
	}
	return names
})

// Model is what the maker calls a passkey's authenticator, "" if nobody knows: most
// that attest nothing say no model either.
func (p *Passkey) Model(k *storage.Passkey) string { return models()[k.AAGUID] }
