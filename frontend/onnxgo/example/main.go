// Command example scores a handwritten digit with onnx-go, under secure computation.
package main

import (
	"fmt"
	"log"
	"os"

	"github.com/owulveryck/onnx-go"
	"smpcc/frontend/onnxgo"
)

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: example MODEL.onnx INPUT.pb")
	}
	backend := onnxgo.New(onnxgo.Options{})
	model := onnx.NewModel(backend)
	data, err := os.ReadFile(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	if err := model.UnmarshalBinary(data); err != nil {
		log.Fatal(err)
	}
	if data, err = os.ReadFile(os.Args[2]); err != nil {
		log.Fatal(err)
	}
	input, err := onnx.NewTensor(data)
	if err != nil {
		log.Fatal(err)
	}
	if err := model.SetInput(0, input); err != nil {
		log.Fatal(err)
	}
	if err := backend.Run(); err != nil {
		log.Fatal(err)
	}
	outputs, err := model.GetOutputTensors()
	if err != nil {
		log.Fatal(err)
	}
	scores := outputs[0].Data().([]float32)
	best := 0
	for i, s := range scores {
		fmt.Printf("%d  %7.2f\n", i, s)
		if s > scores[best] {
			best = i
		}
	}
	fmt.Println("class:", best)
}
