package sms_test

import (
	"testing"

	"github.com/doorstep-id/doorstep/provider/providertest"
)

func TestMain(m *testing.M) { providertest.Main(m) }
