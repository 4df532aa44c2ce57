// node plain.js MODEL DIR runs the model by onnxruntime on DIR/0.f32, DIR/1.f32 ..., windows of one sound: the state it read with
// window I goes to DIR/I.state.json, the state after it to DIR/I.stateN.f32, and the probability of a voice to DIR/I.output.f32.
const fs = require('fs')
const path = require('path')
const ort = require(path.join(__dirname, '..', '.fetched', 'node_modules', 'onnxruntime-node'))

async function main(model, dir) {
  const session = await ort.InferenceSession.create(model, { logSeverityLevel: 3 })
  const write = (name, tensor) => fs.writeFileSync(path.join(dir, name), Buffer.from(Float32Array.from(tensor.data).buffer))
  let state = new ort.Tensor('float32', new Float32Array(256), [2, 1, 128])
  for (let i = 0; fs.existsSync(path.join(dir, `${i}.f32`)); i++) {
    const raw = fs.readFileSync(path.join(dir, `${i}.f32`))
    const input = new ort.Tensor('float32', new Float32Array(raw.buffer.slice(raw.byteOffset, raw.byteOffset + raw.length)), [1, 576])
    const numbers = Array.from(state.data)
    fs.writeFileSync(path.join(dir, `${i}.state.json`), JSON.stringify([[numbers.slice(0, 128)], [numbers.slice(128)]]))
    const result = await session.run({ input, state, sr: new ort.Tensor('int64', [16000n], []) })
    write(`${i}.output.f32`, result.output)
    write(`${i}.stateN.f32`, result.stateN)
    state = result.stateN
  }
}

main(...process.argv.slice(2)).catch((err) => {
  console.error(String(err))
  process.exit(1)
})
