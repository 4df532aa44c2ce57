// node onnxruntime.js MODEL OUT NAME=FILE:DIMS[:int64] ... runs a model on float32 files, DIMS as in 1x128x128x3 (nothing for a
// scalar), and writes each output to OUT as NAME.f32, with what is no letter or digit of the name as "_".
const fs = require('fs')
const path = require('path')
const fetched = path.join(__dirname, '..', '.fetched', 'node_modules', 'onnxruntime-node')
const ort = require(fetched)

async function main([model, out, ...inputs]) {
  const session = await ort.InferenceSession.create(model, { logSeverityLevel: 3 })
  const feeds = {}
  for (const arg of inputs) {
    const [, name, file, dims, type] = arg.match(/^(.*)=([^=]*?):([0-9x]*)(?::(int64))?$/)
    const shape = dims === '' ? [] : dims.split('x').map(Number)
    const raw = fs.readFileSync(file)
    const numbers = new Float32Array(raw.buffer.slice(raw.byteOffset, raw.byteOffset + raw.length))
    feeds[name] = type === 'int64' ? new ort.Tensor('int64', BigInt64Array.from(numbers, BigInt), shape) : new ort.Tensor('float32', numbers, shape)
  }
  const results = await session.run(feeds)
  fs.mkdirSync(out, { recursive: true })
  for (const [name, tensor] of Object.entries(results)) {
    fs.writeFileSync(path.join(out, name.replace(/[^A-Za-z0-9]/g, '_') + '.f32'), Buffer.from(Float32Array.from(tensor.data).buffer))
  }
}

main(process.argv.slice(2)).catch((err) => {
  console.error(String(err))
  process.exit(1)
})
