package meter

import (
	"math/big"
	"sort"
	"time"
)

// Day is one line of the ledger: what one function with one configuration used on one day (UTC).
type Day struct {
	Day       string // 2006-01-02
	Account   string
	Region    string
	Function  string
	Arch      string
	MemoryMB  int
	StorageMB int
	Requests  int64
	BilledMS  int64
	Cold      int64
	Errors    int64
}

// Line is one line of a bill. Costs are decimals in the bill's currency.
type Line struct {
	Day         string `json:"day"`
	Function    string `json:"function"`
	Arch        string `json:"arch"`
	Requests    int64  `json:"requests"`
	ColdStarts  int64  `json:"coldStarts"`
	Errors      int64  `json:"errors"`
	BilledMS    int64  `json:"billedMs"`
	GBSeconds   string `json:"gbSeconds"`
	RequestCost string `json:"requestCost"`
	ComputeCost string `json:"computeCost"`
	StorageCost string `json:"storageCost"`
	Cost        string `json:"cost"`
}

// Bill is what the ledger costs by a price book.
type Bill struct {
	Prices   string   `json:"prices"`
	Currency string   `json:"currency"`
	Rows     []Line   `json:"rows"`
	Total    Line     `json:"total"`
	Idle     []string `json:"idle"` // functions that exist and used nothing: they cost nothing
}

// sum adds up exact amounts on their way to a Line.
type sum struct {
	requests, cold, errors, billedMS             int64
	gbSeconds, reqCost, computeCost, storageCost big.Rat
}

// mbMS is how many MB-milliseconds make one GB-second: Lambda's GB has 1,024 MB.
var mbMS = big.NewInt(1024 * 1000)

func (s *sum) add(d Day, b *Book) {
	s.requests += d.Requests
	s.cold += d.Cold
	s.errors += d.Errors
	s.billedMS += d.BilledMS
	gbs := new(big.Rat).SetFrac(new(big.Int).Mul(big.NewInt(d.BilledMS), big.NewInt(int64(d.MemoryMB))), mbMS)
	s.gbSeconds.Add(&s.gbSeconds, gbs)
	s.reqCost.Add(&s.reqCost, b.PerMillionRequest.times(big.NewRat(d.Requests, 1_000_000)))
	s.computeCost.Add(&s.computeCost, b.PerGBSecond[d.Arch].times(gbs))
	if over := d.StorageMB - FreeStorageMB; over > 0 {
		st := new(big.Rat).SetFrac(new(big.Int).Mul(big.NewInt(d.BilledMS), big.NewInt(int64(over))), mbMS)
		s.storageCost.Add(&s.storageCost, b.StoragePerGBSec.times(st))
	}
}

func (s *sum) line(day, function, arch string) Line {
	cost := new(big.Rat).Add(&s.reqCost, &s.computeCost)
	cost.Add(cost, &s.storageCost)
	return Line{
		Day: day, Function: function, Arch: arch,
		Requests: s.requests, ColdStarts: s.cold, Errors: s.errors, BilledMS: s.billedMS,
		GBSeconds:   s.gbSeconds.FloatString(6),
		RequestCost: s.reqCost.FloatString(10),
		ComputeCost: s.computeCost.FloatString(10),
		StorageCost: s.storageCost.FloatString(10),
		Cost:        cost.FloatString(10),
	}
}

// NewBill prices the ledger lines, one bill line per day, function and architecture. The known functions that do not
// occur in the ledger are listed as idle. Sums are exact; each printed amount is rounded once.
func NewBill(days []Day, known []string, b *Book) Bill {
	type key struct{ day, function, arch string }
	sums := map[key]*sum{}
	var total sum
	used := map[string]bool{}
	for _, d := range days {
		k := key{d.Day, d.Function, d.Arch}
		if sums[k] == nil {
			sums[k] = new(sum)
		}
		sums[k].add(d, b)
		total.add(d, b)
		used[d.Function] = true
	}
	keys := make([]key, 0, len(sums))
	for k := range sums {
		keys = append(keys, k)
	}
	sort.Slice(keys, func(i, j int) bool {
		a, b := keys[i], keys[j]
		if a.day != b.day {
			return a.day < b.day
		}
		if a.function != b.function {
			return a.function < b.function
		}
		return a.arch < b.arch
	})
	bill := Bill{Prices: b.Name, Currency: b.Currency, Rows: make([]Line, 0, len(keys)), Idle: []string{}}
	for _, k := range keys {
		bill.Rows = append(bill.Rows, sums[k].line(k.day, k.function, k.arch))
	}
	bill.Total = total.line("", "total", "")
	for _, f := range known {
		if !used[f] {
			bill.Idle = append(bill.Idle, f)
		}
	}
	sort.Strings(bill.Idle)
	return bill
}

// BilledMS is what Lambda charges for: the init and the invoke phase together, rounded up to 1 ms
// (https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html).
func BilledMS(init, invoke time.Duration) int64 {
	return int64((init + invoke + time.Millisecond - 1) / time.Millisecond)
}
