//go:build soak

package provider_test

import "testing"

// The API survives forty times as much: see fuzzAPI.
func TestSoakAPISurvivesWhateverItsDocumentAllows(t *testing.T) { fuzzAPI(t, 40, 25) }
