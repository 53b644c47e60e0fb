package proof

import (
	"fmt"
	"image/color"
	"strings"

	"github.com/boombuler/barcode/qr"
)

// QR is a QR code, to be drawn as <svg viewBox="0 0 Size Size"><path d="Path"/></svg>
// in black on white: the quiet zone is in it.
type QR struct {
	Size int
	Path string // of the dark squares
}

const quietZone = 4 // squares (ISO/IEC 18004 section 9.1)

func newQR(text string) (QR, error) {
	code, err := qr.Encode(text, qr.M, qr.Auto)
	if err != nil {
		return QR{}, fmt.Errorf("proof: QR code: %w", err)
	}
	var path strings.Builder
	side := code.Bounds().Dx()
	dark := func(x, y int) bool { return x < side && code.At(x, y) == color.Black }
	for y := range side {
		for x := 0; x < side; x++ {
			from := x
			for dark(x, y) {
				x++
			}
			if n := x - from; n > 0 {
				fmt.Fprintf(&path, "M%d %dh%dv1h-%dz", from+quietZone, y+quietZone, n, n)
			}
		}
	}
	return QR{Size: side + 2*quietZone, Path: path.String()}, nil
}
