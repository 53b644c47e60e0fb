package shop

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// errNoCar is the answer where a car used to be, or never was.
var errNoCar = &failure{status: http.StatusNotFound, title: "That car is not here",
	text: "It has been sold, or it never was ours. The others are still on the forecourt."}

// car is one on the forecourt. The shapes are SVG paths in a box of 320 by 150 with the
// ground at 128 and the front to the left; the paint is a class of shop.css.
type car struct {
	ID, Name, Kind string
	Year, Miles    string
	Drive, Price   string
	Line, Story    string // a line for the list, a paragraph for the car's own page
	Paint          string
	Shape          shape
}

// Path is where the car's page is.
func (c car) Path() string { return "/cars/" + c.ID }

type shape struct {
	Body, Trim  string // Trim is drawn over the body: doors, rails, a hood
	Glass       []string
	Front, Rear int // where the wheels' centres are
	Wheel       int // their radius
	Lamp        int // the height of the headlight's centre
	Nose        int // how far left the car reaches
	Tail        int // how far right
}

// Axle is the height of the wheels' centres: they stand on the ground.
func (s shape) Axle() int { return 128 - s.Wheel }

// Rim and Hub are radii around the same centre.
func (s shape) Rim() int { return s.Wheel * 6 / 10 }
func (s shape) Hub() int { return s.Wheel / 5 }

// Arches are half circles over the wheels, and the dark below them down to the sill.
func (s shape) Arches() string {
	r := s.Wheel + 4
	return fmt.Sprintf("M%d 113V%da%d %d 0 0 1 %d 0V113ZM%d 113V%da%d %d 0 0 1 %d 0V113Z",
		s.Front-r, s.Axle(), r, r, 2*r, s.Rear-r, s.Axle(), r, r, 2*r)
}

// Wheels are where the two stand.
func (s shape) Wheels() []int { return []int{s.Front, s.Rear} }

// TailLamp is the left edge of the red light.
func (s shape) TailLamp() int { return s.Tail - 8 }

// Width is the length of the car's shadow, and Sill that of the strip along its foot.
func (s shape) Width() int { return s.Tail - s.Nose }

func findCar(id string) (car, bool) {
	at := slices.IndexFunc(cars, func(c car) bool { return c.ID == id })
	if at < 0 {
		return car{}, false
	}
	return cars[at], true
}

// isCarPath tells whether path is a car's page: the only places to return to after
// signing in, so that nobody can be sent elsewhere.
func isCarPath(path string) bool {
	id, ok := strings.CutPrefix(path, "/cars/")
	_, found := findCar(id)
	return ok && found
}

var cars = []car{
	{
		ID: "wren", Name: "Wren", Kind: "City hatchback", Year: "2023", Miles: "11,400 miles", Drive: "Electric, 160 miles", Price: "£14,900",
		Line:  "Turns round in a street where others reverse.",
		Story: "One owner, a district nurse, who parked it outside every front door in the valley. Four new tyres and a charging cable that still smells of the box.",
		Paint: "coral",
		Shape: shape{
			Body:  "M42 112C38 94 46 84 66 80L104 75C120 52 140 43 170 43L212 43C238 44 256 60 264 80C276 85 280 96 277 112Z",
			Glass: []string{"M119 76C131 59 145 52 166 52L166 76Z", "M174 52L209 52C226 53 239 63 246 76L174 76Z"},
			Trim:  "M170 52L170 110M182 86L194 86",
			Front: 92, Rear: 232, Wheel: 20, Lamp: 92, Nose: 42, Tail: 278,
		},
	},
	{
		ID: "osprey", Name: "Osprey Estate", Kind: "Estate", Year: "2019", Miles: "58,200 miles", Drive: "Petrol, six gears", Price: "£11,250",
		Line:  "Room for a cello, a cellist and the dog.",
		Story: "It has carried an orchestra one section at a time. The boot floor has been replaced, the cup holders have not; there is a rail on the roof for whatever is left over.",
		Paint: "pine",
		Shape: shape{
			Body:  "M26 112C24 97 32 89 56 85L96 79C114 57 130 47 158 47L258 48C276 50 286 64 292 82C298 90 298 102 295 112Z",
			Glass: []string{"M111 80C124 63 138 56 158 56L158 80Z", "M166 56L212 56L212 80L166 80Z", "M220 56L256 57C266 59 273 69 278 80L220 80Z"},
			Trim:  "M150 42L262 43M158 42L158 47M254 43L254 48M162 56L162 110M216 56L216 110M172 90L184 90M226 90L238 90",
			Front: 82, Rear: 244, Wheel: 20, Lamp: 96, Nose: 26, Tail: 297,
		},
	},
	{
		ID: "marlow", Name: "Marlow GT", Kind: "Coupé", Year: "1971", Miles: "74,000 miles", Drive: "Petrol, straight six", Price: "£38,500",
		Line:  "Long in front, quick behind, patient in between.",
		Story: "Restored over eleven winters by a retired clockmaker, who left a note in the glovebox: let it warm up, and it will do the same for you.",
		Paint: "midnight",
		Shape: shape{
			Body:  "M22 112C21 97 30 89 56 85L124 78C144 60 166 51 192 51C224 51 250 63 270 78C290 82 299 92 298 112Z",
			Glass: []string{"M140 78C154 66 170 60 190 59L193 78Z", "M201 59C222 60 240 67 254 78L203 78Z"},
			Trim:  "M197 59L200 110M210 88L222 88M118 93L188 90",
			Front: 84, Rear: 244, Wheel: 19, Lamp: 97, Nose: 22, Tail: 299,
		},
	},
	{
		ID: "tinker", Name: "Tinker", Kind: "Pick-up", Year: "2016", Miles: "91,300 miles", Drive: "Diesel, four-wheel drive", Price: "£9,800",
		Line:  "Brings the shed to the garden.",
		Story: "A roofer's, and then a beekeeper's. The bed is scratched and the rest is not. Pulls two tonnes, idles like a cat, starts at minus fifteen.",
		Paint: "mustard",
		Shape: shape{
			Body:  "M26 112L26 88C26 82 32 79 44 78L94 75L117 47C120 43 125 41 131 41L178 41C184 41 187 45 188 51L190 76L294 76L294 112Z",
			Glass: []string{"M108 75L125 52C127 50 129 49 132 49L144 49L144 75Z", "M151 49L176 49C179 49 180 51 180 53L182 75L151 75Z"},
			Trim:  "M148 49L148 110M190 76L190 110M156 84L168 84M198 88L286 88",
			Front: 78, Rear: 246, Wheel: 23, Lamp: 92, Nose: 26, Tail: 294,
		},
	},
	{
		ID: "solveig", Name: "Solveig", Kind: "Cabriolet", Year: "1988", Miles: "42,700 miles", Drive: "Petrol, five gears", Price: "£16,400",
		Line:  "Eleven sunny days a year, and worth it.",
		Story: "The hood folds by hand in under a minute, which is about how much warning you get. Heated seats were added for the other three hundred and fifty-four days.",
		Paint: "sky",
		Shape: shape{
			Body:  "M26 112C25 97 33 88 58 85L128 80L226 81C262 81 288 86 295 99L295 112Z",
			Glass: []string{"M130 80L152 54L158 56L143 80Z"},
			Trim:  "M146 82L146 110M206 82L206 110M154 91L166 91M214 81C222 70 246 70 258 83M170 80C168 68 182 67 183 80M194 80C192 68 206 67 207 80",
			Front: 84, Rear: 242, Wheel: 19, Lamp: 96, Nose: 26, Tail: 296,
		},
	},
	{
		ID: "bramble", Name: "Bramble", Kind: "Off-roader", Year: "2008", Miles: "103,900 miles", Drive: "Diesel, low range", Price: "£12,700",
		Line:  "Has been stuck once, on purpose.",
		Story: "Fourteen years with mountain rescue, serviced every spring. The winch works, the heater works better, and the clock is right twice a day.",
		Paint: "moss",
		Shape: shape{
			Body:  "M34 112L34 84C34 79 38 77 46 76L92 73L115 40C117 36 121 34 127 34L262 34C270 34 275 39 277 47L286 80L286 112Z",
			Glass: []string{"M105 72L124 45C125 43 127 42 130 42L150 42L150 72Z", "M158 42L208 42L208 72L158 72Z", "M216 42L260 42C265 42 268 45 269 50L275 72L216 72Z"},
			Trim:  "M154 42L154 106M212 42L212 106M164 80L176 80M222 80L234 80M130 28L262 28M142 28L142 33M196 28L196 33M250 28L250 33",
			Front: 82, Rear: 242, Wheel: 25, Lamp: 90, Nose: 34, Tail: 287,
		},
	},
	{
		ID: "parcel", Name: "Parcel", Kind: "Camper van", Year: "1979", Miles: "88,600 miles", Drive: "Petrol, slowly", Price: "£21,000",
		Line:  "Two beds, one kettle, no hurry.",
		Story: "Sleeps two, three if one is small. Has seen both ends of the Pyrenees and a great deal of the middle. The kettle is included, the sand is complimentary.",
		Paint: "cream",
		Shape: shape{
			Body:  "M38 112L42 84C44 78 50 74 56 70L80 40C86 32 94 29 106 29L270 29C282 29 288 36 288 48L289 112Z",
			Glass: []string{"M66 72L88 44C91 40 95 38 101 38L124 38L124 72Z", "M134 38L184 38L184 66L134 66Z", "M194 38L272 38C277 38 279 41 279 45L279 66L194 66Z"},
			Trim:  "M42 82L288 82M129 38L129 110M189 38L189 110M138 92L150 92",
			Front: 86, Rear: 238, Wheel: 20, Lamp: 94, Nose: 38, Tail: 290,
		},
	},
	{
		ID: "pip", Name: "Pip", Kind: "Bubble car", Year: "1962", Miles: "23,100 miles", Drive: "Petrol, one cylinder", Price: "£8,200",
		Line:  "Smaller than your parking space, louder than your doubts.",
		Story: "Bought new by a postmistress to win a bet. Forty miles an hour, downhill, with the wind's permission. Fits in the back of the Parcel; we have tried.",
		Paint: "plum",
		Shape: shape{
			Body:  "M76 112C70 88 82 76 98 71C112 46 136 37 166 37C204 37 230 58 237 84C246 89 249 99 247 112Z",
			Glass: []string{"M112 71C123 53 139 46 158 45L158 71Z", "M166 45C196 46 214 58 222 73L166 71Z"},
			Trim:  "M162 45L162 110M172 82L184 82",
			Front: 112, Rear: 212, Wheel: 17, Lamp: 90, Nose: 76, Tail: 248,
		},
	},
}
