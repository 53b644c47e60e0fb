//go:build soak

package main_test

import "testing"

// R10: the rotation of the key-encryption key is killed twenty times.
func TestSoakKEKRotation(t *testing.T) { killRotations(t, 20, 20_000) }
