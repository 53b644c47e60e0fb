package chain

// The codes of its signals.
const (
	KnownNetwork     = "KNOWN_NETWORK"
	NewCountry       = "NEW_COUNTRY"
	NewASN           = "NEW_ASN"
	NewBlock         = "NEW_NETWORK"
	NewAddress       = "NEW_ADDRESS"
	KnownAgent       = "KNOWN_BROWSER"
	NewDeviceType    = "NEW_DEVICE_TYPE"
	NewSystem        = "NEW_SYSTEM"
	NewBrowser       = "NEW_BROWSER"
	NewVersion       = "NEW_VERSION"
	Upgraded         = "UA_UPGRADED"
	Downgraded       = "UA_DOWNGRADED"
	DeviceUnknown    = "DEVICE_UNKNOWN"
	DeviceKnown      = "DEVICE_KNOWN"
	DeviceSecond     = "DEVICE_SECOND_FACTOR"
	DeviceBound      = "DEVICE_BOUND"
	Activity         = "ACTIVITY"
	ImpossibleTravel = "IMPOSSIBLE_TRAVEL"
	HostingASN       = "HOSTING_ASN"
	AnonymousNetwork = "ANONYMOUS_NETWORK"
	SprayBurst       = "SPRAY_BURST"
	AccountFailures  = "ACCOUNT_FAILURES"
	PasswordBreached = "PASSWORD_BREACHED"
	Dormant          = "DORMANT"
)
