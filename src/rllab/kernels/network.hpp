// What all kernels share: matrix products, MLPs forward and backward, Adam, a team of threads. Plain arrays, row by row.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <thread>
#include <vector>

namespace {

constexpr int W = 16;                                              // floats of a vector
typedef float Vec __attribute__((vector_size(4 * W), aligned(4)));  // as wide as AVX-512; narrower ones are used in parts

inline Vec load(const float* p) { return *reinterpret_cast<const Vec*>(p); }
inline void store(float* p, Vec x) { *reinterpret_cast<Vec*>(p) = x; }

// C[m, n] = finish((bias[n] or 0) + sum over k of A[m * am + k * ak] * B[k * ldb + n], m * N + n), for MR rows from `at`
// on and NR vectors of columns; C has rows of N
template <int MR, int NR, class Finish>
inline void tile(int K, const float* A, long am, long ak, const float* B, int ldb, float* C, int N, long at, const float* bias, Finish finish) {
    Vec acc[MR][NR];
    for (int j = 0; j < NR; ++j) {
        Vec start = bias ? load(bias + j * W) : Vec{};
        for (int i = 0; i < MR; ++i) acc[i][j] = start;
    }
    for (int k = 0; k < K; ++k) {
        Vec b[NR];
        for (int j = 0; j < NR; ++j) b[j] = load(B + long(k) * ldb + j * W);
        for (int i = 0; i < MR; ++i) {
            float a = A[i * am + k * ak];
            for (int j = 0; j < NR; ++j) acc[i][j] += a * b[j];
        }
    }
    for (int i = 0; i < MR; ++i)
        for (int j = 0; j < NR; ++j) {
            const long place = at + long(i) * N + j * W;
            store(C + place, finish(acc[i][j], place));
        }
}

template <int NR, class Finish>
void columns(int M, int K, const float* A, long am, long ak, const float* B, int ldb, float* C, int N, int n, const float* bias, Finish finish) {
    int m = 0;
    for (; m + 8 <= M; m += 8) tile<8, NR>(K, A + m * am, am, ak, B, ldb, C, N, long(m) * N + n, bias, finish);
    for (; m + 4 <= M; m += 4) tile<4, NR>(K, A + m * am, am, ak, B, ldb, C, N, long(m) * N + n, bias, finish);
    for (; m < M; ++m) tile<1, NR>(K, A + m * am, am, ak, B, ldb, C, N, long(m) * N + n, bias, finish);
}

constexpr int FAR = 128;  // floats from one row to the next from which few rows share the first cache, and are copied

// C[M, N] = finish((bias[N] or 0) + A[M, K] B[K, N], place in C), where A[m, k] lies at m * am + k * ak
template <class Finish>
void gemm(int M, int N, int K, const float* A, long am, long ak, const float* B, float* C, const float* bias, Finish finish) {
    if (N < W) {
        for (int n = 0; n < N; ++n)
            for (int m = 0; m < M; ++m) {
                float sum = bias ? bias[n] : 0.f;
                for (int k = 0; k < K; ++k) sum += A[m * am + k * ak] * B[long(k) * N + n];
                C[long(m) * N + n] = sum;
            }
        for (long at = 0; at < long(M) * N; at += W) store(C + at, finish(load(C + at), at));
        return;
    }
    thread_local std::vector<float> near;
    const bool copies = N >= FAR && M >= 16;
    if (copies) near.resize(size_t(K) * 2 * W);
    for (int n = 0; n < N;) {
        const int width = n + 2 * W <= N ? 2 * W : W;
        if (n + width > N) n = N - W;  // the last vector covers some columns once more
        const float *b = B + n, *start = bias ? bias + n : nullptr;
        int ldb = N;
        if (copies) {
            for (int k = 0; k < K; ++k) std::memcpy(&near[size_t(k) * width], b + long(k) * N, sizeof(float) * width);
            b = near.data();
            ldb = width;
        }
        if (width == W) columns<1>(M, K, A, am, ak, b, ldb, C, N, n, start, finish);
        else columns<2>(M, K, A, am, ak, b, ldb, C, N, n, start, finish);
        n += width;
    }
}

const auto as_it_is = [](Vec x, long) { return x; };

float dot(const float* a, const float* b, int n) {
    Vec acc{};
    int i = 0;
    for (; i + W <= n; i += W) acc += load(a + i) * load(b + i);
    float sum = 0.f;
    for (int j = 0; j < W; ++j) sum += acc[j];
    for (; i < n; ++i) sum += a[i] * b[i];
    return sum;
}

inline Vec tanh_of(Vec x) {  // rational approximation, 4e-7 of absolute error; nan stays nan
    Vec hi = x > 7.90531110763549805f ? Vec{} + 7.90531110763549805f : x;
    x = hi < -7.90531110763549805f ? Vec{} - 7.90531110763549805f : hi;
    Vec x2 = x * x;
    Vec p = x2 * -2.76076847742355e-16f + 2.00018790482477e-13f;
    p = x2 * p + -8.60467152213735e-11f;
    p = x2 * p + 5.12229709037114e-08f;
    p = x2 * p + 1.48572235717979e-05f;
    p = x2 * p + 6.37261928875436e-04f;
    p = x2 * p + 4.89352455891786e-03f;
    Vec q = x2 * 1.19825839466702e-06f + 1.18534705686654e-04f;
    q = x2 * q + 2.26843463243900e-03f;
    q = x2 * q + 4.89352518554385e-03f;
    return x * p / q;
}

inline Vec relu_of(Vec x) { return x < 0.f ? Vec{} : x; }  // nan stays nan

// The sum of rows, X[M, N].
void add_rows(int M, int N, const float* X, float* sum) {
    int n = 0;
    for (; n + W <= N; n += W) {
        Vec acc{};
        for (int m = 0; m < M; ++m) acc += load(X + long(m) * N + n);
        store(sum + n, acc);
    }
    for (; n < N; ++n) {
        float acc = 0.f;
        for (int m = 0; m < M; ++m) acc += X[long(m) * N + n];
        sum[n] = acc;
    }
}

}  // namespace

extern "C" {
struct Layer {  // as Python describes it; steps lead from one session's parameters to the next one's
    int in, out, activation;
    const float *weight, *bias;  // [out, in], [out]
    long weight_step, bias_step;
};
}

namespace {

enum Activation { LINEAR, TANH, RELU };

struct Network {  // one session's MLP
    std::vector<Layer> layers;
    std::vector<std::vector<float>> outputs, packed;  // activations [rows, out], weights [in, out]
    std::vector<float> delta, delta_before, small;

    Network(const Layer* described, int count, int session, int rows) : layers(described, described + count) {
        int widest = 1, largest = 1;
        for (Layer& l : layers) {
            l.weight += session * l.weight_step;
            l.bias += session * l.bias_step;
            widest = std::max({widest, l.in, l.out});
            largest = std::max(largest, l.in * l.out);
            outputs.emplace_back(size_t(rows) * l.out + W);  // rooms are a vector longer than what they hold
            packed.emplace_back(l.out < W ? 0 : size_t(l.in) * l.out + W);
        }
        small.resize(largest + W);
        delta.resize(size_t(rows) * widest + W);
        delta_before.resize(size_t(rows) * widest + W);
    }

    void pack() {  // whenever parameters have changed
        for (size_t i = 0; i < layers.size(); ++i) {
            const Layer& l = layers[i];
            if (packed[i].empty()) continue;
            for (int o = 0; o < l.out; ++o)
                for (int k = 0; k < l.in; ++k) packed[i][size_t(k) * l.out + o] = l.weight[size_t(o) * l.in + k];
        }
    }

    const float* forward(const float* x, int rows) {
        for (size_t i = 0; i < layers.size(); ++i) {
            const Layer& l = layers[i];
            float* y = outputs[i].data();
            if (packed[i].empty()) {
                for (int r = 0; r < rows; ++r)
                    for (int o = 0; o < l.out; ++o)
                        y[long(r) * l.out + o] = l.bias[o] + dot(x + long(r) * l.in, l.weight + long(o) * l.in, l.in);
                for (long at = 0; at < long(rows) * l.out; at += W) {
                    if (l.activation == TANH) store(y + at, tanh_of(load(y + at)));
                    if (l.activation == RELU) store(y + at, relu_of(load(y + at)));
                }
            } else {
                auto product = [&](auto activate) { gemm(rows, l.out, l.in, x, l.in, 1, packed[i].data(), y, l.bias, activate); };
                if (l.activation == TANH) product([](Vec sum, long) { return tanh_of(sum); });
                else if (l.activation == RELU) product([](Vec sum, long) { return relu_of(sum); });
                else product(as_it_is);
            }
            x = y;
        }
        return x;
    }

    // gradients of all parameters, at `grad` as those lie from `params` on, given those of the outputs in `delta`
    void backward(const float* params, float* grad, const float* x, int rows) {
        for (int i = int(layers.size()) - 1; i >= 0; --i) {
            const Layer& l = layers[i];
            const float* input = i ? outputs[i - 1].data() : x;
            float *d = delta.data(), *gw = grad + (l.weight - params), *gb = grad + (l.bias - params);
            add_rows(rows, l.out, d, gb);
            if (l.in >= W) {
                gemm(l.out, l.in, rows, d, 1, l.out, input, gw, nullptr, as_it_is);
            } else {
                gemm(l.in, l.out, rows, input, 1, l.in, d, small.data(), nullptr, as_it_is);
                for (int o = 0; o < l.out; ++o)
                    for (int k = 0; k < l.in; ++k) gw[o * l.in + k] = small[k * l.out + o];
            }
            if (!i) break;
            auto product = [&](auto slope) { gemm(rows, l.in, l.out, d, l.out, 1, l.weight, delta_before.data(), nullptr, slope); };
            const int activation = layers[i - 1].activation;
            if (activation == TANH) product([=](Vec sum, long at) { Vec y = load(input + at); return sum * (1.f - y * y); });
            else if (activation == RELU) product([=](Vec sum, long at) { return load(input + at) > 0.f ? sum : Vec{}; });
            else product(as_it_is);
            std::swap(delta, delta_before);
        }
    }
};

}  // namespace

extern "C" {
struct Optimizer {
    int size, rmsprop;
    float beta1, beta2, eps, lr, max_grad_norm;  // of RMSprop, beta2 is alpha
    float *params, *exp_avg, *exp_avg_sq, *steps;  // [S, size], [S]; RMSprop has exp_avg_sq alone
};
}

namespace {

// Clip one session's gradient and move its parameters along it; the norm before.
inline float optimize(const Optimizer& o, int session, const float* __restrict grad) {
    const int size = o.size;
    const float beta1 = o.beta1, beta2 = o.beta2, eps = o.eps, lr = o.lr;  // nothing that is written may be one of them
    float *__restrict params = o.params + long(session) * size, *__restrict v = o.exp_avg_sq + long(session) * size;
    const float norm = std::sqrt(dot(grad, grad, size));
    const float scale = 1.f / std::max(norm / o.max_grad_norm, 1.f);
    if (o.rmsprop) {
        for (int i = 0; i < size; ++i) {
            const float g = grad[i] * scale;
            v[i] = beta2 * v[i] + (1.f - beta2) * g * g;
            params[i] -= lr * g / (std::sqrt(v[i]) + eps);
        }
        return norm;
    }
    float* __restrict m = o.exp_avg + long(session) * size;
    const float step = o.steps[session] += 1.f;
    const double bias1 = 1.0 - std::pow(double(beta1), step), bias2 = 1.0 - std::pow(double(beta2), step);
    const float stride = float(lr / bias1), root = float(std::sqrt(bias2));
    for (int i = 0; i < size; ++i) {
        const float g = grad[i] * scale;
        m[i] += (g - m[i]) * (1.f - beta1);
        v[i] = beta2 * v[i] + (1.f - beta2) * g * g;
        params[i] -= stride * m[i] / (std::sqrt(v[i]) / root + eps);
    }
    return norm;
}

// The first of n values that no other exceeds; as numpy has it, nan is the largest.
template <class Value>
int largest(int n, Value value) {
    int best = 0;
    float top = value(0);
    for (int i = 1; i < n; ++i) {
        const float x = value(i);
        if (x > top || (x != x && top == top)) { top = x; best = i; }
    }
    return best;
}

template <class Work>
void each_session(int sessions, int threads, Work work) {
    std::vector<std::thread> team;
    for (int t = 1; t < std::min(threads, sessions); ++t)
        team.emplace_back([=] { for (int s = t; s < sessions; s += threads) work(s); });
    for (int s = 0; s < sessions; s += threads) work(s);
    for (auto& each : team) each.join();
}

}  // namespace
